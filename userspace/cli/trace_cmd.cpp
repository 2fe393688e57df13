// SPDX-License-Identifier: Apache-2.0
#include "cli/trace_cmd.hpp"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "cli/command.hpp"
#include "cli/parse.hpp"
#include "cli/service_tables.hpp"
#include "cli/text.hpp"
#include "cli/trace_steps.hpp"

namespace weir::cli {
namespace {

using kernel::MappedArray;
using kernel::TraceCore;
using kernel::Tracer;

// Of a client whose port was not given.
constexpr std::uint16_t kClientPort = 32768;

constexpr std::array<std::pair<std::string_view, Edge>, 3> kEdges{
    {{"uplink", Edge::uplink}, {"pod", Edge::pod}, {"host", Edge::host}}};

std::string_view edge_text(Edge edge) {
  return kEdges[static_cast<std::size_t>(edge)].first;
}

std::string_view verdict_text(std::uint8_t verdict) {
  switch (verdict) {
    case WEIR_TRACE_FORWARD:
      return "forward";
    case WEIR_TRACE_DROP:
      return "drop";
    case WEIR_TRACE_REJECT:
      return "reject";
    default:
      return "pass";
  }
}

// One look-up of all programs on the way: XDP first, and tc if XDP leaves the packet alone.
struct Traced {
  std::string program;
  Listing steps;
};

Result<Traced> run(Tracer& tracer, const TraceQuestion& question, const TracePlace& place) {
  Traced traced{.program = place.program, .steps = {}};
  if (place.xdp) {
    auto ran = tracer.run(TraceCore::xdp, question.packet, place.ifindex);
    if (!ran) return std::unexpected{std::move(ran.error())};
    traced.steps = list_steps(tracer.answer());
    if (tracer.answer().verdict != WEIR_TRACE_PASS) {
      traced.program = "weir_xdp";
      return traced;
    }
  }
  const std::array cores{TraceCore::uplink, TraceCore::pod, TraceCore::host};
  auto ran =
      tracer.run(cores[static_cast<std::size_t>(question.edge)], question.packet, place.ifindex);
  if (!ran) return std::unexpected{std::move(ran.error())};
  auto steps = list_steps(tracer.answer());
  traced.steps.columns = std::move(steps.columns);
  std::ranges::move(steps.rows, std::back_inserter(traced.steps.rows));
  return traced;
}

Cell flow_text(const weir_trace& answer) {
  if (answer.hit == 0) return {};
  return answer.half != 0 ? "half" : "established";
}

bool forwards(const weir_trace& answer) {
  return answer.verdict == WEIR_TRACE_FORWARD;
}

bool is_reply(const weir_trace& answer) {
  return (answer.flags & WEIR_FLOW_REPLY) != 0;
}

Cell backend_text(const weir_trace& answer, const kernel::TracePacket& packet) {
  if (answer.hit != 0 && is_reply(answer)) return endpoint_text(packet.from, packet.from_port);
  if (answer.hit == 0 && !forwards(answer)) return {};
  return end_text(answer.daddr, answer.dport);
}

Cell frontend_cell(const weir_trace& answer, const kernel::TracePacket& packet) {
  if (answer.choice.frontend == 0) return {};
  return Record{{{"kind", frontend_text(answer.choice.frontend)},
                 {"address", endpoint_text(packet.to, packet.to_port)}}};
}

Cell list_cell(const weir_trace& answer) {
  if (answer.choice.made == 0 || answer.choice.service == 0) return {};
  return answer.choice.local != 0 ? "local" : "cluster";
}

// A packet of a flow, and one of a client that has a backend, could go to that one alone.
Result<Cell> candidates(const kernel::Pins& pins, const weir_trace& answer, const Cell& backend) {
  std::vector<std::string> texts;
  if (const auto* only = std::get_if<std::string>(&backend);
      only && (answer.hit != 0 || answer.choice.affinity != 0)) {
    texts.push_back(*only);
    return texts;
  }
  const auto slots = MappedArray<weir_slot>::open(pins, "weir_slot", false);
  if (!slots) return std::unexpected{slots.error()};
  const auto backends = MappedArray<weir_backend>::open(pins, "weir_backend", false);
  if (!backends) return std::unexpected{backends.error()};
  for (const auto index : backends_of(*slots, answer.choice.list)) {
    if (index >= backends->size()) continue;
    const weir_backend& value = (*backends)[index];
    texts.push_back(end_text(value.addr, value.port));
  }
  return texts;
}

Result<Cell> service_cell(const kernel::Pins& pins, std::uint32_t id) {
  if (id == 0) return Cell{};
  auto names = kernel::Map<__u32, weir_name>::open(pins, "weir_name");
  if (!names) return std::unexpected{std::move(names.error())};
  auto name = names->find(id);
  if (!name) return std::unexpected{std::move(name.error())};
  return *name ? Cell{name_text(**name)} : Cell{};
}

Result<Edge> parse_edge(std::string_view text) {
  for (const auto& [name, edge] : kEdges)
    if (name == text) return edge;
  return fail("{}: expected uplink, pod or host", text);
}

Result<Address> single(const EndFilter& end, std::string_view option) {
  if (end.block != Cidr::host(end.block.base))
    return fail("{}: one address, and not a block", option);
  return end.block.base;
}

Result<kernel::TracePacket> packet_of(const EndFilter& from, const EndFilter& to,
                                      Protocol protocol) {
  auto source = single(from, "--from");
  if (!source) return std::unexpected{std::move(source.error())};
  auto destination = single(to, "--to");
  if (!destination) return std::unexpected{std::move(destination.error())};
  if (!to.port) return fail("--to: a port is needed");
  if (source->family() != destination->family()) return fail("--from and --to: both of one family");
  return kernel::TracePacket{.from = *source,
                             .to = *destination,
                             .from_port = from.port.value_or(kClientPort),
                             .to_port = *to.port,
                             .protocol = protocol};
}

}  // namespace

Result<Object> explain(const kernel::Pins& pins, const TraceQuestion& question) {
  // First, for its errors: it knows what to say where weir does not run.
  auto tracer = Tracer::open(pins);
  if (!tracer) return std::unexpected{std::move(tracer.error())};
  auto place = find_place(pins, question.edge, question.packet.from, question.device);
  if (!place) return std::unexpected{std::move(place.error())};
  auto traced = run(*tracer, question, *place);
  if (!traced) return std::unexpected{std::move(traced.error())};

  const weir_trace& answer = tracer->answer();
  auto service = service_cell(pins, answer.service);
  if (!service) return std::unexpected{std::move(service.error())};
  const Cell backend = backend_text(answer, question.packet);
  auto could_be = candidates(pins, answer, backend);
  if (!could_be) return std::unexpected{std::move(could_be.error())};
  const bool nat = forwards(answer) && (answer.flags & WEIR_FLOW_SEND) != 0 && !is_reply(answer);

  Object object;
  object.add("verdict", Cell{std::string{verdict_text(answer.verdict)}});
  object.add("reason", Cell{std::string{kCounters[answer.why].name}});
  object.add("edge", Cell{std::string{edge_text(question.edge)}});
  object.add("interface", place->device.empty() ? Cell{} : Cell{place->device});
  object.add("program", Cell{traced->program});
  object.add("service", std::move(*service));
  object.add("frontend", frontend_cell(answer, question.packet));
  object.add("list", list_cell(answer));
  object.add("backend", backend);
  object.add("candidates", std::move(*could_be));
  object.add("source_nat", nat ? Cell{address_text(answer.saddr)} : Cell{});
  object.add("affinity", Cell{answer.choice.affinity != 0});
  object.add("flow", flow_text(answer));
  object.add("steps", std::move(traced->steps));
  return object;
}

void add_trace_command(CLI::App& app, Shared& shared) {
  auto* trace = add_command(
      app, {.name = "trace",
            .description = "What the datapath would do with a client's packet, and why",
            .example = "weir trace --edge uplink --from 198.51.100.7 --to 10.0.0.1:30080\n"
                       "weir trace --edge pod --from 10.244.1.5 --to 10.96.0.10:53 --proto udp\n"
                       "weir trace --edge host --from 10.0.0.1 --to [fd00:96::10]:80 -o json"});
  struct Options {
    Edge edge = Edge::uplink;
    EndFilter from;
    EndFilter to;
    Protocol protocol = Protocol::tcp;
    std::string device;
  };
  auto options = std::make_shared<Options>();
  add_parsed(*trace,
             {.name = "--edge",
              .description = "Where it comes from: outside, a pod, this node itself",
              .example = "uplink|pod|host"},
             parse_edge, options->edge)
      ->required();
  add_parsed(*trace,
             {.name = "--from",
              .description = "The client; what it is does not matter at the host edge",
              .example = "IP[:PORT]"},
             parse_end, options->from)
      ->required();
  add_parsed(*trace, {.name = "--to", .description = "What it asks for", .example = "IP:PORT"},
             parse_end, options->to)
      ->required();
  add_parsed(*trace,
             {.name = "--proto",
              .description = "Of the packet, which is a SYN if this is tcp (tcp)",
              .example = "tcp|udp|sctp"},
             parse_protocol, options->protocol);
  trace
      ->add_option("--dev", options->device,
                   "The interface that it comes in by (the one that leads back to the client)")
      ->option_text("DEV");
  add_output_option(*trace, shared);
  trace->callback([&shared, options] {
    auto packet = packet_of(options->from, options->to, options->protocol);
    if (!packet) throw CLI::ValidationError{packet.error().message()};
    const TraceQuestion question{
        .edge = options->edge, .packet = *packet, .device = options->device};
    shared.action =
        printing(shared, "trace", [question](const kernel::Pins& pins) -> Result<Value> {
          auto object = explain(pins, question);
          if (!object) return std::unexpected{std::move(object.error())};
          return std::move(*object);
        });
  });
}

}  // namespace weir::cli
