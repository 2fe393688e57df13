// SPDX-License-Identifier: Apache-2.0
// What becomes of a client's first packet, decided in the most naive way: by looking through every
// object for each packet, without tables. Written from what a Service means, and shares no code
// with the planner or the datapath.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/cluster.hpp"

namespace weir::test::naive {

enum class From : std::uint8_t { outside, pod, host };

struct Question {
  From from = From::outside;
  Protocol protocol = Protocol::tcp;
  Address client;
  Address to;
  std::uint16_t port = 0;  // of `to`
};

struct Node {
  std::string name;
  std::vector<Address> addresses;
  std::vector<Address> node_port_addresses;
  std::vector<Address> localhost;       // serves node ports for this node's processes
  std::vector<Cidr> cluster_ip_blocks;  // what no service has there is dropped
};

enum class Fate : std::uint8_t { pass, forward, drop, reject };

struct Answer {
  Fate fate = Fate::pass;
  std::string service;             // "namespace/name:port"; empty: none
  std::string frontend;            // "ClusterIP"
  std::string list;                // "cluster", "local"; empty: no list was looked at
  std::set<std::string> backends;  // "address:port": who may get it
  std::set<std::string> here;      // of those, on this node

  bool operator==(const Answer&) const = default;
};

// nullopt: two service ports claim the frontend, and which has it is not this model's affair.
std::optional<Answer> decide(const ClusterState& cluster, const Node& node, const Question& asked);

std::ostream& operator<<(std::ostream& out, const Question& question);
std::ostream& operator<<(std::ostream& out, const Answer& answer);

}  // namespace weir::test::naive
