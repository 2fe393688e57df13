// SPDX-License-Identifier: Apache-2.0
#include "node/xdp_support.hpp"

#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/unique_fd.hpp"
#include "node/netlink.hpp"

namespace weir::node {
namespace {

// linux/netdev.h of Linux 6.3, which Debian 12's headers do not have.
constexpr std::uint8_t kNetdevDevGet = 1;            // NETDEV_CMD_DEV_GET
constexpr std::uint16_t kNetdevIfindex = 1;          // NETDEV_A_DEV_IFINDEX
constexpr std::uint16_t kNetdevXdpFeatures = 3;      // NETDEV_A_DEV_XDP_FEATURES
constexpr std::uint64_t kFeatureBasic = 1U << 0;     // NETDEV_XDP_ACT_BASIC: drop, pass, transmit
constexpr std::uint64_t kFeatureRedirect = 1U << 1;  // NETDEV_XDP_ACT_REDIRECT: out of it
constexpr std::uint64_t kFeatureXmit = 1U << 2;      // NETDEV_XDP_ACT_NDO_XMIT: into it

// Drivers that take redirected frames whatever else is set, for kernels that cannot be asked.
// veth is not one: its peer decides. Nor virtio_net: it needs a queue for each CPU.
constexpr std::array<std::string_view, 11> kKnownDrivers{
    "bnxt_en", "ena", "gve", "i40e", "ice", "igb", "igc", "ixgbe", "mlx4_en", "mlx5_core", "nfp"};

Result<std::uint16_t> family_id(NetlinkSocket& socket, const char* name) {
  NetlinkRequest request{GENL_ID_CTRL, 0};
  request.header<genlmsghdr>() = {.cmd = CTRL_CMD_GETFAMILY, .version = 1, .reserved = 0};
  mnl_attr_put_strz(request.message(), CTRL_ATTR_FAMILY_NAME, name);
  std::uint16_t id = 0;
  auto asked = socket.request(
      request, [] {},
      [&](const nlmsghdr& message) {
        for_each_attribute(message, sizeof(genlmsghdr), [&](std::uint16_t type, const auto& value) {
          if (type == CTRL_ATTR_FAMILY_ID) id = attribute_value<std::uint16_t>(value);
        });
      });
  if (!asked) return std::unexpected{std::move(asked.error())};
  return id;
}

// NETDEV_XDP_ACT_* of the device; nothing on a kernel that cannot say.
Result<std::optional<std::uint64_t>> xdp_features(std::uint32_t ifindex) {
  auto socket = NetlinkSocket::open(NETLINK_GENERIC);
  if (!socket) return std::unexpected{std::move(socket.error())};
  const auto family = family_id(*socket, "netdev");
  if (!family && family.error().code() == std::errc::no_such_file_or_directory) return std::nullopt;
  if (!family) return std::unexpected{family.error()};
  NetlinkRequest request{*family, 0};
  request.header<genlmsghdr>() = {.cmd = kNetdevDevGet, .version = 1, .reserved = 0};
  mnl_attr_put_u32(request.message(), kNetdevIfindex, ifindex);
  std::optional<std::uint64_t> features;
  auto asked = socket->request(
      request, [] {},
      [&](const nlmsghdr& message) {
        for_each_attribute(message, sizeof(genlmsghdr), [&](std::uint16_t type, const auto& value) {
          if (type == kNetdevXdpFeatures) features = attribute_value<std::uint64_t>(value);
        });
      });
  if (!asked) return std::unexpected{std::move(asked.error())};
  return features;
}

// SIOCETHTOOL. False where the driver does not answer; an error if the device is gone.
Result<bool> ethtool(const std::string& device, void* command) {
  UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!fd) return fail(errno, "open socket for ethtool");
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(command);
  if (::ioctl(fd.get(), SIOCETHTOOL, &request) == 0) return true;
  if (errno == EOPNOTSUPP) return false;
  return fail(errno, "ethtool");
}

Result<std::string> driver_of(const std::string& device) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  const auto asked = ethtool(device, &info);
  if (!asked) return std::unexpected{asked.error()};
  return *asked ? std::string{info.driver, strnlen(info.driver, sizeof info.driver)}
                : std::string{};
}

Result<bool> strips_tags(const std::string& device) {
  ethtool_value flags{};
  flags.cmd = ETHTOOL_GFLAGS;
  const auto asked = ethtool(device, &flags);
  if (!asked) return std::unexpected{asked.error()};
  return *asked && (flags.data & ETH_FLAG_RXVLAN) != 0;
}

const Device* vlan_on(const NodeNetwork& network, const Device& device) {
  const auto found = std::ranges::find_if(network.devices, [&](const auto& item) {
    const Device& other = item.second;
    return other.kind == "vlan" && !other.link_elsewhere && other.link == device.ifindex;
  });
  return found == network.devices.end() ? nullptr : &found->second;
}

Result<std::string> why_not_native(const NodeNetwork& network, const Device& device,
                                   std::optional<std::uint64_t> features) {
  if (!device.ethernet()) return "no Ethernet device";
  constexpr std::uint64_t kNeeded = kFeatureBasic | kFeatureRedirect;
  if (features && (*features & kNeeded) != kNeeded) return "its driver has no native XDP";
  if (const Device* vlan = vlan_on(network, device)) {
    const auto strips = strips_tags(device.name);
    if (!strips) return std::unexpected{strips.error()};
    // XDP would take the VLAN's frames for untagged ones.
    if (*strips)
      return fmt::format("it takes off the tags of VLAN device {} (ethtool -K {} rxvlan off)",
                         vlan->name, device.name);
  }
  return std::string{};
}

std::string why_not_redirect(const Device& device, const std::string& driver,
                             std::optional<std::uint64_t> features) {
  if (!device.ethernet()) return "no Ethernet device";
  if (features) {
    if ((*features & kFeatureXmit) != 0) return {};
    return driver == "veth" ? "the veth's peer has neither GRO nor an XDP program"
                            : "its driver does not send redirected frames now";
  }
  if (std::ranges::find(kKnownDrivers, driver) != kKnownDrivers.end()) return {};
  return driver.empty() ? "its driver is not known"
                        : fmt::format("driver {} cannot be asked on this kernel", driver);
}

}  // namespace

Result<XdpSupport> xdp_support(const NodeNetwork& network, const Device& device) {
  const auto features = xdp_features(device.ifindex);
  if (!features) return fail(features.error(), "XDP features of {}", device.name);
  auto driver = driver_of(device.name);
  if (!driver) return fail(std::move(driver.error()), "driver of {}", device.name);
  auto native = why_not_native(network, device, *features);
  if (!native) return fail(std::move(native.error()), "VLAN offload of {}", device.name);
  XdpSupport support;
  support.driver = std::move(*driver);
  support.why_not_native = std::move(*native);
  support.why_not_redirect = why_not_redirect(device, support.driver, *features);
  support.native = support.why_not_native.empty();
  support.redirect = support.why_not_redirect.empty();
  return support;
}

}  // namespace weir::node
