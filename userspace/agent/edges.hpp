// SPDX-License-Identifier: Apache-2.0
// The node's devices and the programs on them, kept in step.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "agent/options.hpp"
#include "base/result.hpp"
#include "kernel/attach.hpp"
#include "kernel/map.hpp"
#include "kernel/objects.hpp"
#include "kernel/pins.hpp"
#include "node/classify.hpp"
#include "node/devices.hpp"
#include "node/xdp_support.hpp"
#include "serve/metrics.hpp"

namespace weir::agent {

class Edges {
 public:
  static Result<Edges> open(const kernel::Pins& pins, const kernel::Objects& objects,
                            const Options& options);

  // At start, all or nothing: an uplink that can't be attached is an error, and what this call
  // attached comes off again. `wanted` is never empty.
  Result<> start(const node::NodeNetwork& network);
  // Later: devices that came or went. A device that can't be attached is a log line; it is tried
  // again with the next change.
  void follow(const node::NodeNetwork& network);
  // Whether frames can be redirected into a device may change without any event: look again.
  void refresh_redirects(const node::NodeNetwork& network);
  // How many devices have programs, by edge and mode.
  [[nodiscard]] std::vector<serve::AttachedDevices> attached() const;

 private:
  Edges(kernel::Pins pins, const kernel::Objects& objects, const Options& options, bool tcx,
        kernel::Map<__u32, weir_device> device, kernel::Map<__u32, __u32> redirect)
      : pins_{std::move(pins)},
        objects_{&objects},
        options_{&options},
        tcx_{tcx},
        device_{std::move(device)},
        redirect_{std::move(redirect)} {}

  [[nodiscard]] node::Selection selection() const;
  Result<> write_devices(const std::vector<node::Attachment>& wanted);
  Result<> attach(const node::NodeNetwork& network, const node::Attachment& attachment);
  Result<> attach_direction(const node::Attachment& attachment, kernel::Direction direction);
  Result<> attach_xdp(const node::NodeNetwork& network, const node::Attachment& attachment);
  void detach(std::uint32_t ifindex);
  void detach_others(const node::NodeNetwork& network, const std::vector<node::Attachment>& wanted);
  void set_redirect(std::uint32_t ifindex, bool wanted);

  kernel::Pins pins_;
  const kernel::Objects* objects_;
  const Options* options_;
  bool tcx_;
  kernel::Map<__u32, weir_device> device_;
  kernel::Map<__u32, __u32> redirect_;
  std::map<std::uint32_t, weir_device> written_;  // what weir_device holds
  std::set<std::uint32_t> redirectable_;          // what weir_xdp_tx holds
  std::map<std::uint32_t, node::Attachment> attached_;
  std::map<std::uint32_t, kernel::XdpMode> xdp_;  // of attached_ those that have it
  std::set<std::uint32_t> complained_;            // devices whose failure is in the log already
};

}  // namespace weir::agent
