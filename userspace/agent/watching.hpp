// SPDX-License-Identifier: Apache-2.0
// How it goes with the API, told to the metrics and to the pinned map that `weir status` reads.
#pragma once

#include <optional>

#include "kernel/source_state.hpp"
#include "serve/metrics.hpp"
#include "source/kubernetes/reflector.hpp"

namespace weir::agent {

class Watching final : public kubernetes::Observer {
 public:
  // Both outlive this. There is no state yet while the kernel's half is being opened.
  Watching(serve::Metrics& metrics, std::optional<kernel::SourceState>& state)
      : metrics_{metrics}, state_{state} {}

  void entered(kubernetes::Resource resource, kubernetes::WatchState state) override;
  void heard(kubernetes::Resource resource, std::size_t bytes) override;
  void listed(kubernetes::Resource resource) override;
  void restarted(kubernetes::Resource resource, kubernetes::WatchEnd why) override;

 private:
  void note(kubernetes::Resource resource, bool heard);

  serve::Metrics& metrics_;
  std::optional<kernel::SourceState>& state_;
  std::array<kubernetes::WatchState, kubernetes::kResources> now_{};
};

}  // namespace weir::agent
