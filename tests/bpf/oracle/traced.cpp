// SPDX-License-Identifier: Apache-2.0
#include "bpf/oracle/traced.hpp"

#include <arpa/inet.h>

#include <variant>
#include <vector>

#include "bpf/topology.hpp"
#include "kernel/map.hpp"

namespace weir::test {
namespace {

using kernel::MappedArray;
using kernel::TraceCore;

naive::Fate fate_of(const weir_trace& said) {
  switch (said.verdict) {
    case WEIR_TRACE_FORWARD:
      return naive::Fate::forward;
    case WEIR_TRACE_DROP:
      return naive::Fate::drop;
    case WEIR_TRACE_REJECT:
      return naive::Fate::reject;
    default:
      return naive::Fate::pass;
  }
}

const char* frontend_of(std::uint8_t kind) {
  constexpr const char* kNames[] = {"", "ClusterIP", "NodePort", "LoadBalancer", "ExternalIP"};
  return kNames[kind];
}

std::string text(const weir_addr& address, __be16 port) {
  return endpoint_text(Address{address}, ntohs(port));
}

std::string service_of(const kernel::Pins& pins, std::uint32_t id) {
  auto names = need(kernel::Map<__u32, weir_name>::open(pins, "weir_name"));
  const auto name = need(names.find(id));
  if (!name) throw std::runtime_error{"a service without a name"};
  return std::string{name->text, strnlen(name->text, sizeof name->text)};
}

void add_candidates(const kernel::Pins& pins, const weir_list& list, naive::Answer& answer) {
  const auto slots = need(MappedArray<weir_slot>::open(pins, "weir_slot", false));
  const auto backends = need(MappedArray<weir_backend>::open(pins, "weir_backend", false));
  for (auto i = list.first; i < list.first + list.count; ++i) {
    const weir_backend& backend = backends[slots[i].backend];
    const auto end = text(backend.addr, backend.port);
    answer.backends.insert(end);
    if ((backend.flags & WEIR_BACKEND_LOCAL) != 0) answer.here.insert(end);
  }
}

}  // namespace

Traced trace(kernel::Tracer& tracer, const kernel::Pins& pins, const naive::Question& asked,
             std::uint16_t port) {
  const bool outside = asked.from == naive::From::outside;
  const auto core = outside                          ? TraceCore::uplink
                    : asked.from == naive::From::pod ? TraceCore::pod
                                                     : TraceCore::host;
  need(tracer.run(core,
                  {.from = asked.client,
                   .to = asked.to,
                   .from_port = port,
                   .to_port = asked.port,
                   .protocol = asked.protocol},
                  ifindex(outside ? Device::kUp0 : Device::kPod0)));
  const weir_trace& said = tracer.answer();
  Traced traced;
  traced.answer.fate = fate_of(said);
  traced.answer.frontend = frontend_of(said.choice.frontend);
  if (said.choice.service == 0) return traced;
  traced.answer.service = service_of(pins, said.choice.service);
  if (said.why == WEIR_drop_source_range || said.why == WEIR_drop_host_range) return traced;
  traced.answer.list = said.choice.local != 0 ? "local" : "cluster";
  add_candidates(pins, said.choice.list, traced.answer);
  if (said.verdict != WEIR_TRACE_FORWARD) return traced;
  traced.backend = text(said.daddr, said.dport);
  if ((said.flags & WEIR_FLOW_SEND) != 0) traced.source_nat = Address{said.saddr}.to_string();
  return traced;
}

NodeView view_of(const naive::Node& node) {
  return {.name = node.name,
          .addresses = node.addresses,
          .node_port_addresses = node.node_port_addresses,
          .localhost = node.localhost};
}

void without_grace(kernel::Tables& tables, const ProgrammedTables&, const Reconciled& next) {
  std::vector<Operation> operations;
  for (const auto& operation : next.operations)
    if (!std::holds_alternative<Grace>(operation)) operations.push_back(operation);
  need(tables.execute(operations));
}

}  // namespace weir::test
