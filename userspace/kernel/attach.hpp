// SPDX-License-Identifier: Apache-2.0
// Programs on network devices of the calling thread's network namespace. tcx and XDP links are
// pinned and so outlive the process; clsact filters (kernels before 6.6) stay by themselves.
// Every function can be called again: what is already as wanted is found out by reading only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace weir::kernel {

enum class Direction : std::uint8_t { ingress, egress };
enum class XdpMode : std::uint8_t { native, generic };
enum class Hook : std::uint8_t { tcx_ingress, tcx_egress, xdp, clsact_ingress, clsact_egress };

std::string_view to_string(Hook hook);  // "tcx-ingress", "xdp", ...

// What a call did. `updated`: another program took the place of the old one, with no gap.
enum class Outcome : std::uint8_t { unchanged, updated, attached };

// Name of a link's pin: "12-tcx-ingress". Parsing is the inverse.
struct LinkName {
  std::uint32_t ifindex = 0;
  Hook hook = Hook::tcx_ingress;
  [[nodiscard]] std::string to_string() const;
  static std::optional<LinkName> parse(std::string_view text);
  friend bool operator==(const LinkName&, const LinkName&) = default;
};

// Whether this kernel has tcx (6.6). Loads and drops a two-instruction program.
Result<bool> has_tcx();

// `links` is the directory of the pins, Pins::links(). First in line at ingress, last at egress.
// A pinned link that is on the device already is adopted; one that lost its device is replaced.
Result<Outcome> attach_tcx(int prog_fd, std::uint32_t ifindex, Direction direction,
                           const std::string& links);
// EBUSY: the device has an XDP program of somebody else. EOPNOTSUPP: the driver has no native
// mode. Another mode than the pinned link's: detached and attached again.
Result<Outcome> attach_xdp(int prog_fd, std::uint32_t ifindex, XdpMode mode,
                           const std::string& links);
// At priority 1 at ingress and 65535 at egress, with the handle of the pin path that `links` is in.
Result<Outcome> attach_clsact(int prog_fd, std::uint32_t ifindex, Direction direction,
                              const std::string& links);

// A pinned link, or a clsact filter of ours.
struct AttachedProgram {
  std::uint32_t ifindex = 0;  // of the pin's name; the device may be gone
  Hook hook = Hook::tcx_ingress;
  std::uint32_t link_id = 0;  // 0 for clsact
  std::uint32_t prog_id = 0;
  bool live = false;  // really on the device of that ifindex, in this namespace
  std::optional<XdpMode> xdp_mode;
  friend bool operator==(const AttachedProgram&, const AttachedProgram&) = default;
};

// Sorted by ifindex and hook. A directory that is not there holds none.
Result<std::vector<AttachedProgram>> list_links(const std::string& links);
// The filters of that pin path on the devices of this namespace.
Result<std::vector<AttachedProgram>> list_clsact(const std::string& links);
// Both, one after the other.
Result<std::vector<AttachedProgram>> list_attached(const std::string& links);

// Takes one program off, link and pin or filter. One that is not there is no error. The clsact
// qdisc goes too once it is empty.
Result<> detach(const LinkName& name, const std::string& links);
// Links whose device is not `present` (any more) in this namespace, also if it lives on in
// another one. Returns how many.
Result<std::size_t> detach_gone(const std::string& links,
                                const std::function<bool(std::uint32_t ifindex)>& present);
// Every link in the directory, and every clsact filter of its pin path in this namespace; goes on
// after a failure and returns the first. Returns how many.
Result<std::size_t> detach_all(const std::string& links);

}  // namespace weir::kernel
