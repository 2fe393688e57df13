// SPDX-License-Identifier: Apache-2.0
// That a trace is of the core, writes nothing, and says what the datapath then does.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "bpf/oracle/datapath_run.hpp"
#include "bpf/oracle/random_cluster.hpp"
#include "bpf/oracle/traced.hpp"
#include "bpf/publish/installation.hpp"
#include "bpf/topology.hpp"
#include "kernel/owned.hpp"
#include "mutant_edge.skel.h"
#include "mutant_endpoint.skel.h"
#include "mutant_half.skel.h"
#include "mutant_hops.skel.h"
#include "mutant_localhost.skel.h"
#include "mutant_source.skel.h"
#include "support/catch.hpp"

namespace weir::test {
namespace {

using kernel::TraceCore;
using kernel::Tracer;

NodeView view() {
  return view_of(this_node());
}

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

// externalTrafficPolicy: Local, an endpoint here and one elsewhere; the other has none here.
ClusterState scene() {
  ClusterState cluster;
  for (const bool here : {true, false}) {
    Service service;
    service.key = {.ns = "test", .name = here ? "here" : "away"};
    service.type = ServiceType::node_port;
    service.external_policy = TrafficPolicy::local;
    service.cluster_ips = {ip(here ? "10.96.0.1" : "10.96.0.2")};
    for (const auto protocol : {Protocol::tcp, Protocol::udp})
      service.ports.push_back({.name = std::string{to_string(protocol)},
                               .protocol = protocol,
                               .port = 80,
                               .node_port = static_cast<std::uint16_t>(here ? 30'001 : 30'002)});
    EndpointSlice slice;
    slice.key = service.key;
    slice.service = service.key.name;
    for (const auto& port : service.ports)
      slice.ports.push_back({.name = port.name, .protocol = port.protocol, .port = 8080});
    weir::Endpoint away;
    away.address = ip(kV4.remote);
    away.node = "node-b";
    slice.endpoints.push_back(away);
    if (here) {
      weir::Endpoint local;
      local.address = ip(kV4.pod0);
      local.node = "node-a";
      slice.endpoints.push_back(local);
    }
    cluster.slices.emplace(slice.key, slice);
    cluster.services.emplace(service.key, service);
  }
  return cluster;
}

// The answer without its steps.
struct Said {
  int verdict{};
  std::string why;
  bool local{};
  bool source_nat{};
  bool half{};
  bool operator==(const Said&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Said& said) {
  return out << said.verdict << ' ' << said.why << (said.local ? " local" : "")
             << (said.source_nat ? " nat" : "") << (said.half ? " half" : "");
}

Said ask(const Installation& weir, TraceCore core, const std::string& to, std::uint16_t port,
         Protocol protocol = Protocol::tcp) {
  auto tracer = need(Tracer::open(weir.pins()));
  need(tracer.run(core,
                  {.from = ip(kV4.client),
                   .to = ip(to),
                   .from_port = 5000,
                   .to_port = port,
                   .protocol = protocol},
                  core == TraceCore::xdp ? 1 : ifindex(Device::kUp0)));
  const auto& answer = tracer.answer();
  return {.verdict = answer.verdict,
          .why = std::string{kCounters[answer.why].name},
          .local = answer.choice.local != 0,
          .source_nat = (answer.flags & WEIR_FLOW_SEND) != 0,
          .half = answer.half != 0};
}

void pin_over(int program, const std::string& path) {
  const auto fresh = path + "_test";
  if (bpf_obj_pin(program, fresh.c_str()) != 0 || std::rename(fresh.c_str(), path.c_str()) != 0)
    throw std::runtime_error{"pin " + path};
}

// The one program that has a name takes its place while this lives.
template <class Mutant>
class InPlace {
 public:
  InPlace(const Installation& weir, const char* name)
      : path_{weir.pins().program(name)}, real_{bpf_obj_get(path_.c_str())} {
    const auto maps = weir.pins().maps();
    LIBBPF_OPTS(bpf_object_open_opts, options);
    options.pin_root_path = maps.c_str();
    mutant_.reset(Mutant::open(&options));
    if (!mutant_) throw std::runtime_error{"open a mutant"};
    for (const auto& [map, size] : kernel::map_sizes(kSmall))
      if (auto* found = bpf_object__find_map_by_name(mutant_->obj, map.c_str()))
        bpf_map__set_max_entries(found, size);
    if (auto* devices = bpf_object__find_map_by_name(mutant_->obj, "weir_xdp_tx")) {
      const UniqueFd pinned{bpf_obj_get(weir.pins().map("weir_xdp_tx").c_str())};
      bpf_map__reuse_fd(devices, pinned.get());
    }
    if (Mutant::load(mutant_.get()) != 0) throw std::runtime_error{"load a mutant"};
    pin_over(bpf_program__fd(bpf_object__find_program_by_name(mutant_->obj, name)), path_);
  }
  ~InPlace() { pin_over(real_.get(), path_); }
  InPlace(const InPlace&) = delete;
  InPlace& operator=(const InPlace&) = delete;

 private:
  std::string path_;
  UniqueFd real_;
  kernel::OwnedSkeleton<Mutant> mutant_;
};

using Content = std::map<std::string, std::map<std::string, std::string>>;  // map, key, value

// Of every pinned map that has keys; counts of all CPUs as they are.
Content content(const kernel::Pins& pins) {
  Content all;
  for (const auto* name :
       {"weir_address", "weir_service", "weir_current", "weir_version", "weir_slot", "weir_backend",
        "weir_device", "weir_config", "weir_flow", "weir_half_tcp", "weir_half_udp",
        "weir_affinity", "weir_fragment", "weir_stat", "weir_counter", "weir_stream", "weir_peer",
        "weir_sticky", "weir_name"}) {
    const auto fd = need(kernel::open_map(pins, name));
    const auto info = need(kernel::map_info(fd.get()));
    const auto cpus = std::string{name} == "weir_counter"
                          ? static_cast<std::size_t>(libbpf_num_possible_cpus())
                          : 1;
    std::string key(info.key_size, '\0'), value(cpus * ((info.value_size + 7) / 8 * 8), '\0');
    const void* before = nullptr;
    while (bpf_map_get_next_key(fd.get(), before, key.data()) == 0) {
      if (bpf_map_lookup_elem(fd.get(), key.data(), value.data()) == 0) all[name][key] = value;
      before = key.data();
    }
  }
  return all;
}

}  // namespace

TEST_CASE("a mutation of the core changes what a trace says") {
  Installation weir;
  weir.publish(plan(scene(), view()), without_grace);
  const auto uplink = [&](const std::string& to, std::uint16_t port) {
    return ask(weir, TraceCore::uplink, to, port);
  };

  const auto here = uplink(kV4.node, 30'001);
  CHECK(here == Said{.verdict = WEIR_TRACE_FORWARD, .why = "forward_tc", .local = true});
  {
    const InPlace<mutant_edge_bpf> mutant{weir, "weir_trace_tc"};  // pods instead of outsiders
    CHECK_FALSE(uplink(kV4.node, 30'001).local);
  }
  {
    const InPlace<mutant_source_bpf> mutant{weir, "weir_trace_tc"};
    CHECK(uplink(kV4.node, 30'001).source_nat);
  }
  CHECK(uplink(kV4.node, 30'001) == here);

  const auto away = uplink(kV4.node, 30'002);
  CHECK(away == Said{.verdict = WEIR_TRACE_DROP, .why = "drop_no_local_endpoint", .local = true});
  {
    const InPlace<mutant_endpoint_bpf> mutant{weir, "weir_trace_tc"};
    CHECK(uplink(kV4.node, 30'002).verdict == WEIR_TRACE_REJECT);
  }

  const auto flow = [&] { return ask(weir, TraceCore::uplink, kV4.node, 30'001, Protocol::udp); };
  run_datapath(
      weir,
      {.protocol = Protocol::udp, .client = ip(kV4.client), .to = ip(kV4.node), .port = 30'001},
      5000);
  CHECK(flow().half);
  {
    const InPlace<mutant_half_bpf> mutant{weir, "weir_trace_tc"};
    CHECK_FALSE(flow().half);
  }

  const auto host = [&] { return ask(weir, TraceCore::host, "127.0.0.1", 30'001).verdict; };
  CHECK(host() == WEIR_TRACE_FORWARD);
  {
    const InPlace<mutant_localhost_bpf> mutant{weir, "weir_trace_host"};
    CHECK(host() == WEIR_TRACE_PASS);
  }

  auto devices = need(kernel::open_map(weir.pins(), "weir_xdp_tx"));
  const std::uint32_t out = ifindex(Device::kUp0);
  REQUIRE(bpf_map_update_elem(devices.get(), &out, &out, BPF_ANY) == 0);
  const auto xdp = [&] { return ask(weir, TraceCore::xdp, "10.96.0.2", 80); };
  CHECK(xdp() == Said{.verdict = WEIR_TRACE_FORWARD, .why = "forward_xdp", .source_nat = true});
  {
    const InPlace<mutant_hops_bpf> mutant{weir, "weir_trace_xdp"};
    CHECK(xdp().why == "pass_to_tc_packet");
  }
}

TEST_CASE("no program that traces has grown by a tenth") {
  // A tenth above the largest from clang 13, 14 and 22.
  const std::map<std::string, std::uint32_t> budget{
      {"weir_trace_tc", 216'400}, {"weir_trace_host", 46'100}, {"weir_trace_xdp", 181'500}};
  const Installation weir;
  for (const auto& [name, verified] : budget) {
    bpf_prog_info info{};
    std::uint32_t size = sizeof info;
    REQUIRE(bpf_obj_get_info_by_fd(weir.program(name), &info, &size) == 0);
    CAPTURE(name);
    CHECK(info.verified_insns < verified);
  }
}

TEST_CASE("a trace writes nothing") {
  Installation weir;
  auto cluster = scene();
  for (auto& [key, service] : cluster.services) service.affinity = std::chrono::seconds{600};
  weir.publish(plan(cluster, view()), without_grace);
  auto tracer = need(Tracer::open(weir.pins()));
  std::vector<naive::Question> questions;
  for (const auto from : {naive::From::outside, naive::From::pod, naive::From::host})
    for (const auto protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp})
      for (const auto* to : {"10.96.0.1", "10.96.0.2", "10.96.0.3", kV4.node.c_str()})
        for (const int port : {80, 30'001, 30'002})
          questions.push_back({.from = from,
                               .protocol = protocol,
                               .client = ip(from == naive::From::pod ? kV4.pod0 : kV4.client),
                               .to = ip(to),
                               .port = static_cast<std::uint16_t>(port)});
  // Some are flows by then, so that there is something to write to.
  for (const auto& asked : questions)
    if (asked.from != naive::From::host && asked.protocol != Protocol::sctp)
      run_datapath(weir, asked, 2000);
  const auto before = content(weir.pins());
  for (const auto* map : {"weir_half_tcp", "weir_half_udp", "weir_affinity"})
    REQUIRE(before.contains(map));
  sleep(2);  // so that the datapath would write that a flow was used
  unsigned hits = 0;
  for (const int port : {2000, 2001})
    for (const auto& asked : questions) {
      trace(tracer, weir.pins(), asked, static_cast<std::uint16_t>(port));
      hits += tracer.answer().hit;
    }
  CHECK(hits > 5);  // datagrams; a SYN is a flow's second try, and goes elsewhere
  auto after = content(weir.pins());
  CHECK(after.size() == before.size());
  for (const auto& [map, elements] : before) {
    INFO(map);
    CHECK(after[map] == elements);
  }
}

}  // namespace weir::test
