// SPDX-License-Identifier: Apache-2.0
// The filters in front of the tables have all that is in these, at every moment, and little more.
#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "bpf/publish/installation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

std::map<weir_addr, std::uint32_t> addresses(const kernel::Pins& pins) {
  std::map<weir_addr, std::uint32_t> all;
  const auto map = need(kernel::Map<weir_addr, weir_address>::open(pins, "weir_address"));
  need(map.for_each(
      [&](const weir_addr& key, const weir_address& value) { all.emplace(key, value.bits); }));
  return all;
}

std::vector<std::uint64_t> words(const kernel::Pins& pins, std::string_view name) {
  const auto map = need(kernel::MappedArray<__u64>::open(pins, name, false));
  std::vector<std::uint64_t> all;
  for (std::uint32_t i = 0; i < map.size(); ++i) all.push_back(map[i]);
  return all;
}

// Nothing but what the addresses have.
std::vector<std::uint64_t> exact(const std::map<weir_addr, std::uint32_t>& all) {
  std::vector<std::uint64_t> filter(WEIR_FILTER_WORDS);
  for (const auto& [address, bits] : all) {
    const auto slot = weir_filter_slot(&address);
    filter[slot / 8] |= std::uint64_t{bits} << slot % 8 * 8;
  }
  return filter;
}

bool covers(const std::vector<std::uint64_t>& filter, const std::vector<std::uint64_t>& wanted) {
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if ((wanted[i] & ~filter[i]) != 0) return false;
  return true;
}

weir_addr address(std::uint32_t number) {
  return Address::parse("10.1." + std::to_string(number / 250) + "." + std::to_string(number % 250))
      .value()
      .raw();
}

}  // namespace

TEST_CASE("no operation leaves an address that its filter does not have") {
  Installation weir;
  const std::vector<ClusterState> sequence{cluster_at(0), cluster_at(1), {}, cluster_at(5)};
  for (const auto& cluster : sequence) {
    weir.publish(
        cluster, [&](kernel::Tables& tables, const ProgrammedTables&, const Reconciled& next) {
          for (const auto& operation : next.operations) {
            need(tables.execute({operation}));
            if (!std::holds_alternative<PutAddress>(operation)) continue;
            CHECK(covers(words(weir.pins(), "weir_filter"), exact(addresses(weir.pins()))));
          }
        });
  }
  CHECK_FALSE(addresses(weir.pins()).empty());
}

TEST_CASE("addresses that are put many at a time are in the filter too") {
  Installation weir;
  for (const auto& cluster : {cluster_at(0), ClusterState{}, cluster_at(5)}) {
    weir.publish(cluster);
    CHECK(covers(words(weir.pins(), "weir_filter"), exact(addresses(weir.pins()))));
  }
  CHECK(addresses(weir.pins()).size() > 20);
}

TEST_CASE("an agent that starts leaves in the filter what is in the table, no more and no less") {
  Installation weir;
  weir.publish(cluster_at(0));
  auto filter = need(kernel::MappedArray<__u64>::open(weir.pins(), "weir_filter", true));
  for (const std::uint64_t spoilt : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    for (std::uint32_t i = 0; i < filter.size(); ++i) filter[i] = spoilt;
    need(weir.tables().adopt());
    CHECK(words(weir.pins(), "weir_filter") == exact(addresses(weir.pins())));
  }
}

TEST_CASE("addresses that come and go do not fill the filter") {
  Installation weir;
  weir.publish(cluster_at(0));
  const auto before = addresses(weir.pins());
  std::uint64_t most = 0;
  for (std::uint32_t round = 0; round < 30; ++round) {
    for (std::uint32_t i = 0; i < 100; ++i) {
      const auto key = address(100 * round + i);
      need(weir.tables().execute({PutAddress{key, {WEIR_ADDRESS_BACKEND}}, DeleteAddress{key}}));
    }
    std::uint64_t set = 0;
    for (const auto word : words(weir.pins(), "weir_filter"))
      set += static_cast<std::uint64_t>(std::popcount(word));
    most = std::max(most, set);
  }
  CHECK(addresses(weir.pins()) == before);
  CHECK(most < 1400);  // of the 3,000; it is made anew when 1,024 have gone
  CHECK(covers(words(weir.pins(), "weir_filter"), exact(before)));
}

TEST_CASE("the ports that a node is asked at, or asks from, are known, and no others") {
  auto narrow = settings();
  narrow.source_ports = {{.first = 61'000, .count = 100}, {.first = 5'000, .count = 10}};
  Installation weir{narrow};
  weir.publish(cluster_at(0));
  const auto config =
      need(kernel::MappedArray<weir_config>::open(weir.pins(), "weir_config", false));
  std::set<std::uint32_t> wanted;
  for (const auto& range : config[0].source_ports)
    for (std::uint32_t i = 0; i < range.count; ++i) wanted.insert(range.first + i);
  const auto services =
      need(kernel::Map<weir_service_key, weir_service>::open(weir.pins(), "weir_service"));
  std::size_t node_ports = 0;
  need(services.for_each([&](const weir_service_key& key, const weir_service& value) {
    if (value.frontend != WEIR_FRONTEND_NODE_PORT) return;
    wanted.insert(ntohs(key.port));
    ++node_ports;
  }));
  CHECK(node_ports > 0);
  std::set<std::uint32_t> known;
  const auto ports = words(weir.pins(), "weir_port");
  for (std::uint32_t port = 0; port < 65536; ++port)
    if ((ports[port / 64] >> port % 64 & 1) != 0) known.insert(port);
  CHECK(known == wanted);

  // A restart with another range: flows from the old one go on.
  weir.publish({});
  need(weir.tables().adopt());
  const auto later = words(weir.pins(), "weir_port");
  CHECK(covers(later, ports));
}

}  // namespace weir::test
