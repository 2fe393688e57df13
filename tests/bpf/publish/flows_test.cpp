// SPDX-License-Identifier: Apache-2.0
// What becomes of flows whose backend leaves, through a real publication, and of its entry.
#include <algorithm>

#include "bpf/conversation.hpp"
#include "bpf/publish/installation.hpp"
#include "bpf/publish/prober.hpp"
#include "bpf/topology.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// A pod that talks to the cluster IP of service 0.
class Talk {
 public:
  Talk(Installation& installation, Protocol protocol, Family family)
      : installation_{installation},
        target_{.service = 0, .protocol = protocol, .family = family, .side = Side::kPod},
        client_{family == Family::ipv4 ? kV4.pod0 : kV6.pod0, 40'000} {}

  // A SYN, or a datagram.
  Outcome open() { return forward(from_pod(proto(), client_, frontend())); }
  Outcome data() {
    if (!tcp()) return open();
    return forward(Packet::tcp(client_, frontend()).seq(5001).ack(9001));
  }
  // What the backend says to open(), and for TCP the client to that.
  void establish(const Outcome& opened) {
    REQUIRE(opened.backend);
    const Endpoint backend{Address{opened.addr}.to_string(), opened.port};
    const auto packet =
        tcp() ? Packet::tcp(backend, client_).flags(kSyn | kAck).seq(9000).ack(5001).payload("")
              : Packet::udp(backend, client_);
    send("weir_pod_out", packet);
    if (tcp()) forward(Packet::tcp(client_, frontend()).seq(5001).ack(9001).payload(""));
    REQUIRE(live(index_of(opened)) == 1);
  }

  [[nodiscard]] std::uint32_t index_of(const Outcome& outcome) const {
    const auto& service =
        installation_.programmed().services.at(identity_of(0, target_.protocol, target_.family));
    return service.backends.at({Address{outcome.addr}, outcome.port});
  }
  [[nodiscard]] std::uint64_t live(std::uint32_t index) const {
    return installation_.tables().live_flows(index);
  }

 private:
  [[nodiscard]] bool tcp() const { return target_.protocol == Protocol::tcp; }
  [[nodiscard]] std::uint8_t proto() const {
    return static_cast<std::uint8_t>(std::to_underlying(target_.protocol));
  }
  [[nodiscard]] Endpoint frontend() const { return {frontend_ip(target_), frontend_port(target_)}; }
  Outcome forward(const Packet& packet) { return send("weir_pod_in", packet); }
  Outcome send(std::string_view program, const Packet& packet) {
    Bytes out;
    return send_raw(installation_.program(program), ifindex(Device::kPod0), packet.frame().bytes,
                    target_, out);
  }

  Installation& installation_;
  Target target_;
  Endpoint client_;
};

bool goes_to_round(const Outcome& outcome, std::uint32_t round) {
  return outcome.backend && outcome.backend->service == 0 && outcome.backend->round == round;
}

std::size_t gone(const Installation& installation) {
  return static_cast<std::size_t>(std::ranges::count_if(
      installation.programmed().backends,
      [](const auto& entry) { return entry.second.state == WEIR_BACKEND_GONE; }));
}

TEST_CASE("a datagram of a flow whose backend left goes to another, and the entry is freed",
          "[1.3/udp-stale]") {
  for (const auto family : kFamilies) {
    Installation installation;
    installation.publish(cluster_at(0));
    Talk talk{installation, Protocol::udp, family};
    const auto opened = talk.open();
    REQUIRE(goes_to_round(opened, 0));
    talk.establish(opened);
    const auto index = talk.index_of(opened);

    installation.publish(cluster_at(1));
    installation.publish(cluster_at(1));
    CHECK(gone(installation) == 1);  // the flow has not said yet that it is over
    CHECK(installation.programmed().backends.contains(index));
    CHECK(goes_to_round(talk.data(), 1));
    CHECK(talk.live(index) == 0);
    installation.settle(cluster_at(1));
    CHECK_FALSE(installation.programmed().backends.contains(index));
  }
}

TEST_CASE("a connection outlives its backend's place in the service, and so does the entry",
          "[1.3/existing-connections]") {
  for (const auto family : kFamilies) {
    Installation installation;
    installation.publish(cluster_at(0));
    Talk talk{installation, Protocol::tcp, family};
    const auto opened = talk.open();
    REQUIRE(goes_to_round(opened, 0));
    talk.establish(opened);
    const auto index = talk.index_of(opened);
    const auto generation = installation.programmed().backends.at(index).generation;

    for (std::uint32_t round = 1; round < 6; ++round) {
      installation.publish(cluster_at(round));
      const auto outcome = talk.data();
      CHECK(outcome.addr == opened.addr);
      CHECK(outcome.port == opened.port);
      REQUIRE(installation.programmed().backends.contains(index));
      CHECK(installation.programmed().backends.at(index).generation == generation);
    }
    installation.settle(cluster_at(5));
    CHECK(gone(installation) == 1);

    CHECK(goes_to_round(talk.open(), 5));  // a new connection on the old tuple
    CHECK(talk.live(index) == 0);
    installation.settle(cluster_at(5));
    CHECK(gone(installation) == 0);
    CHECK_FALSE(installation.programmed().backends.contains(index));
  }
}

// Half-open flows hold no entry: it may be another backend's by their next packet.
TEST_CASE("a flow without answer whose backend's entry was given away goes to its own service") {
  for (const auto family : kFamilies) {
    Installation installation;
    installation.publish(cluster_at(0));
    Talk talk{installation, Protocol::udp, family};
    const auto opened = talk.open();
    REQUIRE(goes_to_round(opened, 0));
    const auto index = talk.index_of(opened);
    const auto generation = installation.programmed().backends.at(index).generation;
    std::uint32_t round = 1;
    while (round < 4) installation.publish(cluster_at(round++));
    const auto& backends = installation.programmed().backends;
    REQUIRE(backends.contains(index));
    REQUIRE(backends.at(index).generation > generation);
    CHECK(goes_to_round(talk.data(), round - 1));
  }
}

}  // namespace
}  // namespace weir::test
