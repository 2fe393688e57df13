// SPDX-License-Identifier: Apache-2.0
// A source that follows a server which the test plays.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>

#include "base/event_loop.hpp"
#include "source/kubernetes/source.hpp"
#include "support/catch.hpp"
#include "unit/kubernetes/script.hpp"

namespace weir::test {

inline std::string service_json(const std::string& name, unsigned number,
                                const std::string& version, const std::string& spec = {}) {
  return fmt::format(
      R"({{"metadata":{{"name":"{}","namespace":"default","uid":"u-{}","resourceVersion":"{}"}},)"
      R"("spec":{{"clusterIP":"10.96.0.{}","clusterIPs":["10.96.0.{}"],)"
      R"("ports":[{{"port":80,"protocol":"TCP"}}]{}}}}})",
      name, name, version, number, number, spec);
}

inline std::string slice_json(const std::string& name, const std::string& service,
                              const std::string& address, const std::string& version,
                              const std::string& annotations = {}) {
  return fmt::format(R"({{"metadata":{{"name":"{}","namespace":"default","resourceVersion":"{}",)"
                     R"("labels":{{"kubernetes.io/service-name":"{}"}},"annotations":{{{}}}}},)"
                     R"("addressType":"IPv4","ports":[{{"name":"","port":8080}}],)"
                     R"("endpoints":[{{"addresses":["{}"]}}]}})",
                     name, version, service, annotations, address);
}

inline std::string list_json(const std::string& version, const std::string& items,
                             const std::string& continuation = {}) {
  return fmt::format(R"({{"metadata":{{"resourceVersion":"{}","continue":"{}"}},"items":[{}]}})",
                     version, continuation, items);
}

inline std::string event_json(const std::string& type, const std::string& object) {
  return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object);
}

inline std::string bookmark_json(const std::string& version, bool initial_end = false) {
  return event_json(
      "BOOKMARK", fmt::format(R"({{"metadata":{{"resourceVersion":"{}","annotations":{{{}}}}}}})",
                              version, initial_end ? R"("k8s.io/initial-events-end":"true")" : ""));
}

inline std::string status_json(int code, const std::string& reason,
                               const std::string& details = {}) {
  return fmt::format(R"({{"kind":"Status","metadata":{{}},"status":"Failure",)"
                     R"("message":"{} happened","reason":"{}","details":{{{}}},"code":{}}})",
                     reason, reason, details, code);
}

// What a source tells of itself, in short: "services watching", "services restarted 5".
class Heard final : public kubernetes::Observer {
 public:
  void entered(kubernetes::Resource resource, kubernetes::WatchState state) override {
    say(resource, to_string(state));
  }
  void heard(kubernetes::Resource /*resource*/, std::size_t count) override { bytes += count; }
  void listed(kubernetes::Resource resource) override { say(resource, "listed"); }
  void restarted(kubernetes::Resource resource, kubernetes::WatchEnd why) override {
    ends.push_back(why);
    say(resource, "restarted");
  }

  std::vector<std::string> of_services;
  std::vector<kubernetes::WatchEnd> ends;
  std::size_t bytes = 0;

 private:
  void say(kubernetes::Resource resource, std::string_view what) {
    if (resource == kubernetes::Resource::services) of_services.emplace_back(what);
  }
};

class Following {
 public:
  Following() : loop{std::move(*EventLoop::make())} {
    kubernetes::Options options;
    options.node_name = "node1";
    options.settle = std::chrono::milliseconds{1};
    options.pace.backoff.first = std::chrono::milliseconds{1};
    options.pace.backoff.most = std::chrono::milliseconds{4};
    options.pace.initial_events = std::chrono::milliseconds{50};
    options.pace.page = 2;
    source = std::make_unique<kubernetes::Source>(*loop, server, options, [this] { ++told; });
    source->set_observer(&observer);
    source->start();
  }

  // Runs the loop until that is so; fails after five seconds.
  void until(const std::function<bool()>& condition) {
    for (int i = 0; i < 5000 && !condition(); ++i) turn();
    REQUIRE(condition());
  }
  void turn(std::chrono::milliseconds time = std::chrono::milliseconds{1}) {
    REQUIRE(loop->after(0, time, [this] { loop->stop(); }).has_value());
    REQUIRE(loop->run().has_value());
  }
  // The request that is open for a resource, once there is one whose target contains `part`.
  Script::Id request(std::string_view path, std::string_view part = {}) {
    Script::Id found = 0;
    until([&] {
      for (const auto& [id, one] : server.open)
        if (one.request.target.starts_with(path) &&
            one.request.target.find(part) != std::string::npos)
          found = id;
      return found != 0;
    });
    return found;
  }
  [[nodiscard]] std::string target(Script::Id id) const {
    return server.open.at(id).request.target;
  }

  // An old server: lists only, and answers to all three with these.
  void list_all(const std::string& services, const std::string& slices) {
    for (const auto* const path : {kServices, kSlices, kNodes}) {
      refuse_stream(path);
      const bool first = path == kServices;
      server.answer(request(path, "limit="), 200,
                    list_json("10", first             ? services
                                    : path == kSlices ? slices
                                                      : ""));
    }
    until([&] { return source->complete(); });
  }
  void refuse_stream(const char* path) {
    server.answer(request(path, "sendInitialEvents"), 422, status_json(422, "Invalid"));
  }
  // An event on the watch of a resource.
  void tell(const char* path, const std::string& text) {
    const auto id = request(path, "watch=1");
    if (!begun_.contains(id)) server.head(id, 200);
    begun_.insert(id);
    server.body(id, text);
  }
  [[nodiscard]] std::set<std::string> services() const {
    std::set<std::string> names;
    for (const auto& [key, service] : source->state().services) names.insert(key.name);
    return names;
  }
  [[nodiscard]] const kubernetes::WatchStatus& status() const {
    return source->status(kubernetes::Resource::services);
  }

  static constexpr const char* kServices = "/api/v1/services?";
  static constexpr const char* kSlices = "/apis/discovery.k8s.io/v1/endpointslices?";
  static constexpr const char* kNodes = "/api/v1/nodes?";

  std::unique_ptr<EventLoop> loop;
  Script server;
  int told = 0;  // calls of `changed`
  Heard observer;
  std::unique_ptr<kubernetes::Source> source;

 private:
  std::set<Script::Id> begun_;
};

}  // namespace weir::test
