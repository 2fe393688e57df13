// SPDX-License-Identifier: Apache-2.0
// The Kubernetes API as a source of the cluster's state: Services, EndpointSlices and the own Node.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.hpp"
#include "source/kubernetes/mirror.hpp"
#include "source/kubernetes/reflector.hpp"
#include "source/kubernetes/transport.hpp"
#include "source/source.hpp"

namespace weir::kubernetes {

struct Options {
  std::string node_name;
  std::uint16_t node_port_first = 30'000;  // what a Service's node ports may be
  std::uint16_t node_port_last = 32'767;
  Pace pace;
  // How long a change waits for others that belong to it: endpoints that move between slices come
  // as several events.
  std::chrono::milliseconds settle{10};
};

class Source final : public weir::Source {
 public:
  // The transport must outlive it. `changed` is called from the loop: when the view is complete for
  // the first time, and after each change from then on.
  Source(EventLoop& loop, Transport& transport, const Options& options,
         std::function<void()> changed);
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() override;

  // Before start(). Must outlive this.
  void set_observer(Observer* observer);
  void start();

  [[nodiscard]] bool complete() const override;
  [[nodiscard]] const ClusterState& state() const override { return mirror_.state(); }
  StateChanges take_changes() override { return mirror_.take_changes(); }
  // When those things happened that endpoint slices told of since this was asked last, as far as
  // this process has been there.
  std::vector<Date> take_triggers();

  [[nodiscard]] const WatchStatus& status(Resource resource) const;
  [[nodiscard]] std::vector<Problem> problems() const { return mirror_.problems(); }
  [[nodiscard]] std::string uid(Resource resource, const ObjectKey& key) const {
    return mirror_.uid(resource, key);
  }

 private:
  void changed_soon();

  EventLoop& loop_;
  std::function<void()> changed_;
  manifests::Options reading_;
  std::chrono::milliseconds settle_;
  EventLoop::TimerId timer_;
  Date started_;
  Mirror mirror_;
  std::array<std::unique_ptr<Reflector>, kResources> reflectors_;
};

}  // namespace weir::kubernetes
