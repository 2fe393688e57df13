// SPDX-License-Identifier: Apache-2.0
// A cluster that is another one in every round, and who may answer in which: the oracle of the
// publication checker. Shares no code with the planner or the datapath.
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "model/cluster.hpp"
#include "plan/plan.hpp"

namespace weir::test {

inline constexpr unsigned kServices = 4;
inline constexpr std::uint32_t kMaxRound = 0xffff;  // as much as a backend's address can tell

enum class Kind : std::uint8_t { kClusterIp, kNodePort, kLoadBalancer, kExternalIp };
enum class Side : std::uint8_t { kUplink, kPod };
enum class List : std::uint8_t { kCluster, kLocal };

inline constexpr std::array kKinds{Kind::kClusterIp, Kind::kNodePort, Kind::kLoadBalancer,
                                   Kind::kExternalIp};
inline constexpr std::array kSides{Side::kUplink, Side::kPod};
inline constexpr std::array kFamilies{Family::ipv4, Family::ipv6};
inline constexpr std::array kProtocols{Protocol::tcp, Protocol::udp};

// A way to ask a service: one of its frontends, from one side.
struct Target {
  unsigned service{};
  Protocol protocol{Protocol::tcp};
  Family family{Family::ipv4};
  Kind kind{Kind::kClusterIp};
  Side side{Side::kUplink};
};

std::vector<Target> all_targets();
std::ostream& operator<<(std::ostream& out, const Target& target);
std::string frontend_ip(const Target& target);
std::uint16_t frontend_port(const Target& target);

// What a backend's address and port say of it. No two backends of different rounds, services or
// lists are alike, and the port must match the address: half of an entry betrays itself.
struct BackendTag {
  unsigned service{};
  List list{List::kCluster};
  std::uint32_t round{};
};

weir_addr backend_addr(const BackendTag& backend, unsigned number, Family family);
std::uint16_t backend_port(std::uint32_t round, Protocol protocol);
// nullopt: no backend of any round.
std::optional<BackendTag> to_backend(const weir_addr& addr, std::uint16_t port, Protocol protocol,
                                     Family family);

// The list that must answer in that round; nullopt: nobody may.
std::optional<List> who_answers(const Target& target, std::uint32_t round);

ClusterState cluster_at(std::uint32_t round);
NodeView node_view();
ServiceIdentity identity_of(unsigned service, Protocol protocol, Family family);

}  // namespace weir::test
