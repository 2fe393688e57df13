// SPDX-License-Identifier: Apache-2.0
// Clusters and questions by chance, dense in the corners: few addresses, many that mean two things.
#pragma once

#include <cstdint>
#include <random>

#include "bpf/oracle/naive.hpp"
#include "model/cluster.hpp"

namespace weir::test {

class RandomCluster {
 public:
  explicit RandomCluster(std::uint32_t seed) : random_{seed} {}

  // The one before with something changed.
  const ClusterState& next();
  [[nodiscard]] const ClusterState& now() const { return state_; }
  naive::Question question();

 private:
  std::uint32_t below(std::uint32_t end);
  bool one_in(std::uint32_t n) { return below(n) == 0; }
  void change_service(unsigned number);
  void change_slices(unsigned number);
  void change_node();
  EndpointSlice slice(unsigned number, Family family, unsigned part);
  Endpoint endpoint(Family family, bool hinted);
  Address some_address(Family family);
  Address client(naive::From from, Family family);

  std::mt19937 random_;
  ClusterState state_;
};

// The node that they are seen from: the one of bpf/topology.hpp.
naive::Node this_node();

}  // namespace weir::test
