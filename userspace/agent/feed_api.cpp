// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <utility>

#include "agent/feed.hpp"
#include "base/log.hpp"
#include "source/kubernetes/client.hpp"
#include "source/kubernetes/config.hpp"
#include "source/kubernetes/source.hpp"

namespace weir::agent {
namespace {

kubernetes::Options source_options(const Options& options) {
  kubernetes::Options to;
  to.node_name = options.node_name;
  to.node_port_first = options.node_ports.first;
  to.node_port_last = options.node_ports.last;
  return to;
}

class ApiFeed final : public Feed {
 public:
  ApiFeed(EventLoop& loop, const Options& options, std::unique_ptr<kubernetes::Client> client,
          kubernetes::Observer& observer)
      : client_{std::move(client)},
        source_{loop, *client_, source_options(options), [this] { on_change(); }},
        events_{loop, *client_, options.node_name} {
    source_.set_observer(&observer);
  }

  Result<> follow(std::function<void()> changed) override {
    changed_ = std::move(changed);
    source_.start();
    return {};
  }
  [[nodiscard]] Source& source() override { return source_; }
  std::vector<std::chrono::system_clock::time_point> take_triggers() override {
    return source_.take_triggers();
  }
  void report(const std::vector<kubernetes::Notice>& known) override;

 private:
  void on_change();

  std::function<void()> changed_;
  bool complete_ = false;
  std::unique_ptr<kubernetes::Client> client_;  // outlives what asks it
  kubernetes::Source source_;
  kubernetes::Events events_;
  std::set<std::string> said_;  // lines that are in the log already
};

void ApiFeed::on_change() {
  if (!std::exchange(complete_, true))
    log::info("{}: {} services and {} endpoint slices", client_->server().text(),
              source_.state().services.size(), source_.state().slices.size());
  changed_();
}

// What the agent knows, and what its source could not read.
void ApiFeed::report(const std::vector<kubernetes::Notice>& known) {
  auto notices = known;
  std::set<std::string> lines;
  for (auto& problem : source_.problems()) {
    auto line = fmt::format("{}: {}; its last good state stays in force",
                            describe(problem.resource, problem.key), problem.text);
    if (!said_.contains(line)) log::warning("{}", line);
    lines.insert(std::move(line));
    if (problem.resource != kubernetes::Resource::services) continue;
    notices.push_back({.object = kubernetes::Notice::Object::service,
                       .ns = problem.key.ns,
                       .name = problem.key.name,
                       .uid = {},
                       .reason = "NotUnderstood",
                       .note = problem.text});
  }
  said_ = std::move(lines);
  for (auto& notice : notices) {
    const bool service = notice.object == kubernetes::Notice::Object::service;
    notice.uid = source_.uid(service ? kubernetes::Resource::services : kubernetes::Resource::nodes,
                             {service ? notice.ns : std::string{}, notice.name});
  }
  events_.report(std::move(notices));
}

}  // namespace

Result<std::unique_ptr<Feed>> open_api(EventLoop& loop, const Options& options,
                                       kubernetes::Observer& observer) {
  auto config = kubernetes::find_config(
      {.kubeconfig = options.kubeconfig, .server = options.server, .environment = {}});
  if (!config) return std::unexpected{std::move(config.error())};
  auto client = kubernetes::Client::make(loop, std::move(*config));
  if (!client) return std::unexpected{std::move(client.error())};
  return std::make_unique<ApiFeed>(loop, options, std::move(*client), observer);
}

}  // namespace weir::agent
