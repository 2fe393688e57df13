// SPDX-License-Identifier: Apache-2.0
#include "agent/watching.hpp"

namespace weir::agent {
namespace {

using kubernetes::Resource;
using kubernetes::WatchState;

serve::Watched watched(Resource resource) {
  switch (resource) {
    case Resource::services:
      return serve::Watched::services;
    case Resource::endpoint_slices:
      return serve::Watched::endpointslices;
    case Resource::nodes:
      break;
  }
  return serve::Watched::node;
}

weir_source_resource row(Resource resource) {
  switch (resource) {
    case Resource::services:
      return WEIR_SOURCE_SERVICES;
    case Resource::endpoint_slices:
      return WEIR_SOURCE_ENDPOINTSLICES;
    case Resource::nodes:
      break;
  }
  return WEIR_SOURCE_NODE;
}

weir_source_state written(WatchState state) {
  switch (state) {
    case WatchState::listing:
      return WEIR_SOURCE_LISTING;
    case WatchState::watching:
      return WEIR_SOURCE_WATCHING;
    case WatchState::retrying:
      return WEIR_SOURCE_RETRYING;
    case WatchState::not_started:
      break;
  }
  return WEIR_SOURCE_NOT_STARTED;
}

}  // namespace

void Watching::note(Resource resource, bool heard) {
  if (state_)
    state_->note(row(resource), written(now_.at(static_cast<std::size_t>(resource))), heard);
}

void Watching::entered(Resource resource, WatchState state) {
  now_.at(static_cast<std::size_t>(resource)) = state;
  metrics_.watch_connected(watched(resource), state == WatchState::watching);
  note(resource, false);
}

void Watching::heard(Resource resource, std::size_t bytes) {
  metrics_.watch_heard(watched(resource));
  metrics_.watch_received(watched(resource), bytes);
  note(resource, true);
}

void Watching::listed(Resource resource) {
  metrics_.watch_listed(watched(resource));
}

void Watching::restarted(Resource resource, WatchEnd why) {
  metrics_.watch_restarted(watched(resource), why);
}

}  // namespace weir::agent
