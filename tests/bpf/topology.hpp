// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "support/frame.hpp"

namespace weir::test {

// The node that the programs under test believe to be on: a network namespace of this process
// with two uplinks, two routed pods and two ports of a pod bridge. Static neighbours, so that
// routes resolve with nobody there to answer.
enum class Device : std::uint8_t { kUp0, kUp1, kPod0, kPod1, kPort0, kPort1, kBridge };

inline constexpr std::uint32_t kUplinkMtu = 1500;
inline constexpr std::uint32_t kNarrowMtu = 1280;  // of the route to World::narrow

inline constexpr Mac kUp0Mac{2, 0, 0, 0, 0, 0x10};
inline constexpr Mac kUp1Mac{2, 0, 0, 0, 0, 0x11};
inline constexpr Mac kPodHostMac{2, 0, 0, 0, 0, 0x12};  // host end of a pod's veth
inline constexpr Mac kBridgeMac{2, 0, 0, 0, 0, 0x20};
inline constexpr Mac kRouterMac{2, 0, 0, 0, 1, 0x01};    // next hop to the clients, on up0
inline constexpr Mac kNode2Mac{2, 0, 0, 0, 1, 0x20};     // next hop to World::remote, on up0
inline constexpr Mac kNode3Mac{2, 0, 0, 0, 2, 0x20};     // next hop to World::far, on up1
inline constexpr Mac kPodMac{2, 0, 0, 0, 3, 0x11};       // inside a routed pod
inline constexpr Mac kBridged0Mac{2, 0, 0, 0, 4, 0x11};  // inside the pods on the bridge
inline constexpr Mac kBridged1Mac{2, 0, 0, 0, 4, 0x12};

// The addresses of one family.
struct World {
  int family;
  std::string node;         // on up0
  std::string node1;        // on up1
  std::string pod_gateway;  // of this node, towards routed pods
  std::string bridge;       // of this node, on the bridge
  std::string client;       // behind the router
  std::string stranger;     // nothing of weir's
  std::string cluster_ip;
  std::string vip;
  std::string pod0;
  std::string pod1;
  std::string bridged0;
  std::string bridged1;
  std::string remote;       // pods on other nodes: by up0,
  std::string far;          // by up1,
  std::string unresolved;   // by a next hop without neighbour entry,
  std::string unreachable;  // by no route,
  std::string narrow;       // by a route of kNarrowMtu
  // A pod of this node whose packets a test run takes for raw layer 3: skb->protocol is read from
  // bytes 12 and 13, which there belong to the source address. So is `client`.
  std::string raw_pod;
};

extern const World kV4;
extern const World kV6;

// Enters the namespace and builds it, at the first call. Exits with 77 (skipped) without root.
void enter_topology();

std::uint32_t ifindex(Device device);

}  // namespace weir::test
