// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.hpp"

#include <arpa/inet.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <set>

#include "agent/edges.hpp"
#include "agent/feed.hpp"
#include "agent/health.hpp"
#include "agent/host_edge.hpp"
#include "agent/notices.hpp"
#include "agent/preflight.hpp"
#include "agent/watching.hpp"
#include "base/event_loop.hpp"
#include "base/log.hpp"
#include "kernel/grace.hpp"
#include "kernel/objects.hpp"
#include "kernel/pins.hpp"
#include "kernel/tables.hpp"
#include "node/monitor.hpp"
#include "plan/follower.hpp"
#include "plan/gone.hpp"

namespace weir::agent {
namespace {

using namespace std::chrono_literals;

enum Timer : EventLoop::TimerId { kReclaim, kRedirects, kSockets, kRetry, kNotices };

class Agent {
 public:
  explicit Agent(const Options& options) : options_{options}, pins_{options.pin_path} {}

  Result<> open();
  Result<> serve();

 private:
  Result<> open_kernel();
  Result<> publish();
  Result<> program();
  void retry_later(std::chrono::seconds delay);
  Result<> begin();
  Result<> attach();
  void tell();
  void on_source();
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
  std::unique_ptr<Feed> feed_;
  std::optional<kernel::Objects> objects_;
  std::optional<kernel::Tables> tables_;
  std::optional<Edges> edges_;
  std::optional<HostEdge> host_edge_;
  std::optional<Follower> follower_;
  bool attached_ = false;                    // the edges follow the node's devices
  Result<> ended_;                           // why the loop was stopped, if by an error
  StateChanges unpublished_;                 // what follower_ has not been told of yet
  std::vector<kubernetes::Date> triggers_;   // of what is in it
  std::vector<kubernetes::Notice> notices_;  // of the last publication
  std::set<std::string> refused_;            // lines that are in the log already
  serve::Metrics metrics_;
  std::optional<kernel::SourceState> source_state_;
  Watching watching_{metrics_, source_state_};
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
  auto feed = options_.manifests.empty() ? open_api(*loop_, options_, watching_)
                                         : open_manifests(*loop_, options_);
  if (!feed) return std::unexpected{std::move(feed.error())};
  feed_ = std::move(*feed);
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
  auto source_state = kernel::SourceState::open(
      pins_, options_.manifests.empty() ? WEIR_SOURCE_KUBERNETES : WEIR_SOURCE_MANIFESTS);
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
    lines.insert(fmt::format("{}: {}", one.lost.to_string(), text_of(one)));
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
  Source& source = feed_->source();
  if (!source.complete()) return {};
  const auto triggers = feed_->take_triggers();
  triggers_.insert(triggers_.end(), triggers.begin(), triggers.end());
  unpublished_.merge(agent::tell(metrics_, source.take_changes(), source.state()));
  health_->begin(source.state());
  metrics_.sync_began();
  if (auto ok = program(); !ok) {
    metrics_.sync_failed();
    retry_later(10s);
    return ok;
  }
  metrics_.sync_done();
  metrics_.programmed(std::exchange(triggers_, {}));
  const StateChanges changes = std::exchange(unpublished_, {});
  health_->done(source.state(), changes, monitor_->network());
  return {};
}

// Nobody may touch an object for a long time, and the kernel may be short of memory only now.
void Agent::retry_later(std::chrono::seconds delay) {
  auto armed = loop_->after(kRetry, delay, [this] { on_source(); });
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
  const auto step = follower_->to(feed_->source().state(), *node, unpublished_, live);
  report_refused(step.conflicts, step.refused);
  notices_ = notices(step.conflicts, step.refused, options_.node_name);
  tell();
  kernel::WriteTiming timing;
  if (auto done = tables_->execute(step.operations, &timing); !done) {
    // Part of it was done: what the maps say now is the truth to go on from.
    auto truth = tables_->adopt();
    if (truth) follower_.emplace(std::move(*truth), options_.limits);
    return fail(std::move(done.error()), "publish");
  }
  report_published(step, timing);
  // What this step gave back may be room for what did not fit beside it.
  if (!step.refused.empty() && !step.operations.empty()) retry_later(1s);
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
  const auto source = feed_->timing();
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

// Whether a port can be had shows later, and in another thread.
void Agent::tell() {
  auto all = notices(health_->unopened());
  all.insert(all.begin(), notices_.begin(), notices_.end());
  feed_->report(all);
  if (auto armed = loop_->after(kNotices, 5s, [this] { tell(); }); !armed)
    log::error("{}", armed.error().message());
}

void Agent::on_source() {
  if (auto ok = publish(); !ok) return log::error("{}", ok.error().message());
  if (attached_ || !feed_->source().complete()) return;
  if (ended_ = attach(); !ended_) loop_->stop();
}

void Agent::on_network() {
  auto changed = monitor_->refresh();
  if (!changed) return log::error("follow the node's devices: {}", changed.error().message());
  if (!*changed) return;
  if (attached_) edges_->follow(monitor_->network());
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
  if (auto ok = begin(); !ok) return ok;
  if (auto ok = feed_->follow([this] { on_source(); }); !ok) return ok;
  if (auto ok = loop_->watch(monitor_->fd(), [this] { on_network(); }); !ok) return ok;
  if (auto ok = loop_->run(); !ok) return ok;
  return std::move(ended_);
}

// Tables first: a program that is attached finds all it needs. Those of the last agent are good
// until the source has been read, and pods that were born since get their programs.
Result<> Agent::begin() {
  if (feed_->source().complete()) {
    if (auto ok = publish(); !ok) return ok;
    return attach();
  }
  log::info("node {}, programs {}; {} services until the API has answered", options_.node_name,
            objects_->adopted() ? "adopted" : "loaded", follower_->tables().services.size());
  if (!follower_->tables().services.empty()) return attach();
  health_->wait();
  return {};
}

Result<> Agent::attach() {
  if (auto ok = edges_->start(monitor_->network()); !ok) return ok;
  attached_ = true;
  metrics_.attached(edges_->attached());
  host_edge_->start(options_.socket_lb == SocketLb::host, options_.cgroup_path);
  log::info("{} services, node {}, programs {}", follower_->tables().services.size(),
            options_.node_name, objects_->adopted() ? "adopted" : "loaded");
  redirects_later();
  return {};
}

}  // namespace

Result<> run(const Options& options) {
  log::set_level(options.log_level);
  Agent agent{options};
  if (auto ok = agent.open(); !ok) return ok;
  return agent.serve();
}

}  // namespace weir::agent
