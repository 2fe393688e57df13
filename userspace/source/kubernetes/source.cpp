// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace weir::kubernetes {
namespace {

// Headless Services, those of another proxy, and their slices are not even sent.
constexpr std::string_view kOurs =
    "labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2F"
    "service-proxy-name";

Reflector::What what(Resource resource, const std::string& node) {
  switch (resource) {
    case Resource::services:
      return {resource, "/api/v1/services", std::string{kOurs}};
    case Resource::endpoint_slices:
      return {resource, "/apis/discovery.k8s.io/v1/endpointslices", std::string{kOurs}};
    case Resource::nodes:
      // A node's name is a DNS name: nothing to encode.
      return {resource, "/api/v1/nodes", "fieldSelector=metadata.name%3D" + node};
  }
  return {};
}

}  // namespace

Source::Source(EventLoop& loop, Transport& transport, const Options& options,
               std::function<void()> changed)
    : loop_{loop},
      changed_{std::move(changed)},
      settle_{options.settle},
      timer_{loop.new_timer()},
      started_{std::chrono::system_clock::now()} {
  reading_.node_port_first = options.node_port_first;
  reading_.node_port_last = options.node_port_last;
  for (std::size_t i = 0; i < kResources; ++i) {
    reflectors_.at(i) = std::make_unique<Reflector>(
        what(static_cast<Resource>(i), options.node_name), loop, transport, mirror_,
        [this] { changed_soon(); }, reading_);
    reflectors_.at(i)->set_pace(options.pace);
  }
}

Source::~Source() {
  loop_.disarm(timer_);
}

void Source::set_observer(Observer* observer) {
  for (auto& reflector : reflectors_) reflector->set_observer(observer);
}

void Source::start() {
  for (auto& reflector : reflectors_) reflector->start();
}

bool Source::complete() const {
  return std::ranges::all_of(reflectors_, [](const auto& one) { return one->synced(); });
}

const WatchStatus& Source::status(Resource resource) const {
  return reflectors_.at(static_cast<std::size_t>(resource))->status();
}

std::vector<Date> Source::take_triggers() {
  auto triggers = mirror_.take_triggers();
  std::erase_if(triggers, [this](Date date) { return date < started_; });
  return triggers;
}

void Source::changed_soon() {
  if (!complete() || loop_.armed(timer_)) return;
  auto armed = loop_.after(timer_, settle_, [this] { changed_(); });
  if (!armed) log::error("{}", armed.error().message());
}

}  // namespace weir::kubernetes
