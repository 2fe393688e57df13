// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.hpp"

#include <arpa/inet.h>
#include <malloc.h>
#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <set>

#include "agent/edges.hpp"
#include "agent/health.hpp"
#include "agent/host_edge.hpp"
#include "base/capabilities.hpp"
#include "base/event_loop.hpp"
#include "base/log.hpp"
#include "base/release.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/grace.hpp"
#include "kernel/objects.hpp"
#include "kernel/pins.hpp"
#include "kernel/source_state.hpp"
#include "kernel/tables.hpp"
#include "node/monitor.hpp"
#include "node/sysctl.hpp"
#include "plan/follower.hpp"
#include "plan/gone.hpp"
#include "serve/metrics.hpp"
#include "source/manifests/manifests.hpp"

namespace weir::agent {
namespace {

using namespace std::chrono_literals;

enum Timer : EventLoop::TimerId { kReclaim, kRedirects, kSockets, kRetry };

Result<kernel::DatapathSettings> datapath_settings(const Options& options) {
  kernel::DatapathSettings settings{.source_ports = {},
                                    .life_tcp = options.lifetimes.tcp,
                                    .life_tcp_half_closed = options.lifetimes.tcp_half_closed,
                                    .life_tcp_closing = options.lifetimes.tcp_closing,
                                    .life_udp = options.lifetimes.udp,
                                    .life_half = options.lifetimes.half_open,
                                    .service_blocks = {}};
  if (options.service_cidrs_given) settings.service_blocks = options.service_cidrs;
  if (options.socket_lb == SocketLb::host) {
    const auto cookie = kernel::netns_cookie();
    if (!cookie) return std::unexpected{cookie.error()};
    settings.netns = *cookie;
  }
  for (const auto& range : options.source_ports)
    settings.source_ports.push_back(
        {.first = range.first, .count = static_cast<__u16>(range.last - range.first + 1)});
  return settings;
}

manifests::Options manifest_options(const Options& options) {
  manifests::Options to;
  to.paths = options.manifests;
  to.service_cidrs = options.service_cidrs;
  to.load_balancer_pools = options.load_balancer_pools;
  to.node_port_first = options.node_ports.first;
  to.node_port_last = options.node_ports.last;
  return to;
}

Result<> check_machine() {
  const auto capabilities = effective_capabilities();
  if (!capabilities) return std::unexpected{capabilities.error()};
  if (const auto missing = missing_capabilities(*capabilities); !missing.empty())
    return fail("missing {}: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON", missing);
  if (auto ok = kernel::bpf_allowed(); !ok) return ok;
  utsname name{};
  if (uname(&name) != 0) return {};
  const std::string_view release{static_cast<const char*>(name.release)};
  const auto parsed = parse_kernel_release(release);  // a name of its own may be anything
  if (parsed && *parsed < kOldestKernel)
    return fail("kernel {} is too old: weir needs {}.{}", release, kOldestKernel.major,
                kOldestKernel.minor);
  return {};
}

// Source NAT must not draw a port that some process of the node may be given, or a node port.
Result<> reserve_source_ports(const Options& options) {
  std::vector<node::PortRange> ports;
  ports.reserve(options.source_ports.size());
  for (const auto& range : options.source_ports) ports.push_back({range.first, range.last});
  auto reservation = node::reserve_ports(ports, {options.node_ports.first, options.node_ports.last},
                                         options.sysctl_path);
  if (!reservation && reservation.error().code() == std::errc::read_only_file_system)
    return fail(
        "{}; in a container, mount the node's /proc/sys/net and give --sysctl-path, or "
        "reserve them on the node",
        reservation.error().message());
  if (!reservation) return fail(std::move(reservation.error()), "reserve ports for source NAT");
  if (!reservation->contradicts.empty())
    return fail("--source-port-range and --node-port-range overlap: {}",
                node::format_ports(reservation->contradicts));
  if (!reservation->added.empty())
    log::info("reserved for source NAT, in net.ipv4.ip_local_reserved_ports: {}",
              node::format_ports(reservation->added));
  return {};
}

void warn_of_forwarding(const std::string& sysctl_path) {
  auto forwarding = node::forwarding(sysctl_path);
  if (!forwarding) return log::warning("{}", forwarding.error().message());
  if (!forwarding->ipv4)
    log::warning("net.ipv4.ip_forward is 0: IPv4 services on other nodes and in pods will fail");
  if (!forwarding->ipv6)
    log::warning("net.ipv6.conf.all.forwarding is 0: IPv6 services will fail likewise");
}

class Agent {
 public:
  explicit Agent(const Options& options) : options_{options}, pins_{options.pin_path} {}

  Result<> open();
  Result<> serve();

 private:
  Result<> open_kernel();
  Result<> publish();
  Result<> program();
  void retry_later();
  void on_manifests();
  void on_network();
  [[nodiscard]] Result<NodeView> view() const;
  void report_published(const Follower::Step& step, const kernel::WriteTiming& timing) const;
  void reclaim_later();
  void arm_reclaim();
  void redirects_later();
  void sockets_later();
  void report_refused(const std::vector<FrontendConflict>& conflicts,
                      const std::vector<Refused>& refused);

  const Options& options_;
  kernel::Pins pins_;
  std::unique_ptr<EventLoop> loop_;
  UniqueFd lock_;
  std::optional<node::Monitor> monitor_;
  std::unique_ptr<manifests::Source> source_;
  std::optional<kernel::Objects> objects_;
  std::optional<kernel::Tables> tables_;
  std::optional<Edges> edges_;
  std::optional<HostEdge> host_edge_;
  std::optional<Follower> follower_;
  bool read_now_ = true;           // a publication is due to a refresh() of the source
  StateChanges unpublished_;       // what follower_ has not been told of yet
  std::set<std::string> refused_;  // lines that are in the log already
  serve::Metrics metrics_;
  std::optional<kernel::SourceState> source_state_;
  std::optional<Health> health_;  // from serve() on; last, so that its sockets close first
};

// Everything that can refuse comes before anything that changes the kernel.
Result<> Agent::open() {
  if (auto ok = check_machine(); !ok) return ok;
  auto loop = EventLoop::make();
  if (!loop) return std::unexpected{std::move(loop.error())};
  loop_ = std::move(*loop);
  auto monitor = node::Monitor::open();
  if (!monitor) return fail(std::move(monitor.error()), "read the node's devices");
  monitor_.emplace(std::move(*monitor));
  const node::Selection selection{.pod_interface = options_.pod_interfaces,
                                  .uplink = options_.uplinks};
  if (auto none = node::unmatched_uplinks(monitor_->network(), selection); !none.empty())
    return fail("--uplink {}: no such interface, or none that is up with Ethernet or IP frames",
                none.front());
  auto source = manifests::Source::open(manifest_options(options_));
  if (!source) return fail(std::move(source.error()), "read manifests");
  source_ = std::move(*source);
  malloc_trim(0);  // of what it took to read them
  return open_kernel();
}

Result<> Agent::open_kernel() {
  if (auto ok = pins_.create(); !ok) return ok;
  auto lock = pins_.lock();
  if (!lock) {
    if (lock.error().code() == std::errc::operation_would_block)
      return fail("pin path {}: another agent is running on it", pins_.path());
    return std::unexpected{std::move(lock.error())};
  }
  lock_ = std::move(*lock);
  if (auto ok = reserve_source_ports(options_); !ok) return ok;
  warn_of_forwarding(options_.sysctl_path);

  const auto settings = datapath_settings(options_);
  if (!settings) return std::unexpected{settings.error()};
  auto objects = kernel::Objects::load(pins_, options_.limits, *settings);
  if (!objects) return std::unexpected{std::move(objects.error())};
  objects_.emplace(std::move(*objects));
  auto tables = kernel::Tables::open(pins_);
  if (!tables) return std::unexpected{std::move(tables.error())};
  tables_.emplace(std::move(*tables));
  auto programmed = tables_->adopt();
  if (!programmed) return fail(std::move(programmed.error()), "read the tables back");
  follower_.emplace(std::move(*programmed), options_.limits);
  if (auto ok = metrics_.read_tables(pins_, options_.metrics_services); !ok) return ok;
  auto source_state = kernel::SourceState::open(pins_, WEIR_SOURCE_MANIFESTS);
  if (!source_state) return std::unexpected{std::move(source_state.error())};
  source_state_.emplace(std::move(*source_state));
  // An agent that was killed in the middle of a publication has not waited for its end.
  kernel::wait_for_running_programs();
  auto edges = Edges::open(pins_, *objects_, options_);
  if (!edges) return std::unexpected{std::move(edges.error())};
  edges_.emplace(std::move(*edges));
  auto host_edge = HostEdge::open(pins_, *objects_);
  if (!host_edge) return std::unexpected{std::move(host_edge.error())};
  host_edge_.emplace(std::move(*host_edge));
  return {};
}

// Each problem once, and again only after it went away. A table that is too small is as many
// problems as there are services left.
void Agent::report_refused(const std::vector<FrontendConflict>& conflicts,
                           const std::vector<Refused>& refused) {
  std::set<std::string> lines;
  for (const auto& one : conflicts)
    lines.insert(fmt::format("{}: {} belongs to {} already", one.lost.to_string(),
                             endpoint_text(Address{one.key.addr}, ntohs(one.key.port)),
                             one.kept.to_string()));
  for (const auto& one : refused)
    lines.insert(fmt::format("{}: {}", one.service.to_string(), one.reason));
  constexpr std::size_t kMostLines = 20;
  std::size_t fresh = 0;
  for (const auto& line : lines)
    if (!refused_.contains(line) && ++fresh <= kMostLines) log::error("not programmed: {}", line);
  if (fresh > kMostLines) log::error("not programmed: {} more", fresh - kMostLines);
  refused_ = std::move(lines);
  metrics_.refused(refused.size(), conflicts.size());
}

Result<> Agent::publish() {
  unpublished_.merge(tell(metrics_, source_->take_changes(), source_->state()));
  health_->begin(source_->state());
  metrics_.sync_began();
  if (auto ok = program(); !ok) {
    metrics_.sync_failed();
    retry_later();
    return ok;
  }
  metrics_.sync_done();
  const StateChanges changes = std::exchange(unpublished_, {});
  health_->done(source_->state(), changes, monitor_->network());
  return {};
}

// Nobody may touch a manifest for a long time, and the kernel may be short of memory only now.
void Agent::retry_later() {
  auto armed = loop_->after(kRetry, 10s, [this] {
    if (auto ok = publish(); !ok) log::error("{}", ok.error().message());
  });
  if (!armed) log::error("{}", armed.error().message());
}

Result<NodeView> Agent::view() const {
  NodeView view{.name = options_.node_name,
                .addresses = node::node_addresses(monitor_->network()),
                .node_port_addresses = {},
                .localhost = {}};
  auto accepted = node::node_port_addresses(monitor_->network(), options_.node_port_addresses);
  if (!accepted) return std::unexpected{std::move(accepted.error())};
  view.node_port_addresses = std::move(*accepted);
  auto localhost = node::localhost_addresses(options_.node_port_addresses);
  if (!localhost) return std::unexpected{std::move(localhost.error())};
  view.localhost = std::move(*localhost);
  return view;
}

// Brings the tables to what source and node say now.
Result<> Agent::program() {
  const auto node = view();
  if (!node) return std::unexpected{node.error()};
  const auto live = [this](std::uint32_t index) { return tables_->live_flows(index); };
  const auto step = follower_->to(source_->state(), *node, unpublished_, live);
  report_refused(step.conflicts, step.refused);
  kernel::WriteTiming timing;
  if (auto done = tables_->execute(step.operations, &timing); !done) {
    // Part of it was done: what the maps say now is the truth to go on from.
    auto truth = tables_->adopt();
    if (truth) follower_.emplace(std::move(*truth), options_.limits);
    return fail(std::move(done.error()), "publish");
  }
  report_published(step, timing);
  metrics_.addresses(follower_->tables().addresses.size());
  // What so many needed for a moment is a multiple of what is kept of them.
  constexpr std::size_t kMany = 100'000;
  if (step.operations.size() > kMany) malloc_trim(0);
  if (host_edge_->end_sockets(gone_backends(step.operations, follower_->tables(), Protocol::udp)))
    sockets_later();
  reclaim_later();
  return {};
}

void Agent::report_published(const Follower::Step& step, const kernel::WriteTiming& timing) const {
  if (step.operations.empty()) return;
  const auto ms = [](std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>{time}.count();
  };
  const auto source = read_now_ ? source_->timing() : manifests::Timing{};
  log::debug(
      "published: {} writes, {} services touched, ms: read {:.3f}, assemble {:.3f}, plan {:.3f}, "
      "reconcile {:.3f}, write {:.3f}, grace {:.3f}",
      step.operations.size(), step.touched, ms(source.read), ms(source.assemble), ms(step.plan),
      ms(step.reconcile), ms(timing.write), ms(timing.grace));
}

// What waits for its last flow: backends that are gone, addresses that services gave up.
void Agent::reclaim_later() {
  if (follower_->waits() && !loop_->armed(kReclaim)) arm_reclaim();
}

void Agent::arm_reclaim() {
  auto armed = loop_->after(kReclaim, 1s, [this] {
    if (!follower_->can_reclaim([this](std::uint32_t index) { return tables_->live_flows(index); }))
      return arm_reclaim();
    if (auto ok = publish(); !ok) log::error("{}", ok.error().message());
  });
  if (!armed) log::error("{}", armed.error().message());
}

void Agent::redirects_later() {
  auto armed = loop_->after(kRedirects, 5s, [this] {
    edges_->refresh_redirects(monitor_->network());
    redirects_later();
  });
  if (!armed) log::error("{}", armed.error().message());
}

// A socket that was being connected while its backend went is found when it is.
void Agent::sockets_later() {
  auto armed = loop_->after(kSockets, 1s, [this] { host_edge_->end_late_sockets(); });
  if (!armed) log::error("{}", armed.error().message());
}

void Agent::on_manifests() {
  auto changed = source_->refresh();
  if (!changed) return log::error("read manifests: {}", changed.error().message());
  if (!*changed) return;
  read_now_ = true;
  if (auto ok = publish(); !ok) log::error("{}", ok.error().message());
  read_now_ = false;
}

void Agent::on_network() {
  auto changed = monitor_->refresh();
  if (!changed) return log::error("follow the node's devices: {}", changed.error().message());
  if (!*changed) return;
  edges_->follow(monitor_->network());
  metrics_.attached(edges_->attached());
  if (auto ok = publish(); !ok) log::error("{}", ok.error().message());
}

Result<> Agent::serve() {
  auto signals = loop_->on_signal({SIGTERM, SIGINT}, [this](int number) {
    log::info("{}: the datapath stays as it is", number == SIGTERM ? "SIGTERM" : "SIGINT");
    loop_->stop();
  });
  if (!signals) return signals;
  auto health = Health::start(options_, metrics_);
  if (!health) return std::unexpected{std::move(health.error())};
  health_.emplace(std::move(*health));
  // Tables first: a program that is attached finds all it needs.
  if (auto ok = publish(); !ok) return ok;
  read_now_ = false;
  if (auto ok = edges_->start(monitor_->network()); !ok) return ok;
  metrics_.attached(edges_->attached());
  host_edge_->start(options_.socket_lb == SocketLb::host, options_.cgroup_path);
  log::info("{} services, node {}, programs {}", follower_->tables().services.size(),
            options_.node_name, objects_->adopted() ? "adopted" : "loaded");
  if (auto ok = loop_->watch(source_->fd(), [this] { on_manifests(); }); !ok) return ok;
  if (auto ok = loop_->watch(monitor_->fd(), [this] { on_network(); }); !ok) return ok;
  redirects_later();
  return loop_->run();
}

}  // namespace

Result<> run(const Options& options) {
  log::set_level(options.log_level);
  Agent agent{options};
  if (auto ok = agent.open(); !ok) return ok;
  return agent.serve();
}

}  // namespace weir::agent
