// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "bpf/datapath.hpp"

namespace weir::test {

// The loaded objects: one set of maps under all programs.
class Objects {
 public:
  static Objects& get();  // loads at the first call
  // Entries of a map, where the objects' own are not right. Before the first get().
  static void resize(const std::string& map, std::uint32_t entries);

  [[nodiscard]] int program(Hook hook) const;
  [[nodiscard]] int arm_program() const;
  [[nodiscard]] int map(const std::string& name) const;
  void clear();  // empties every map

 private:
  Objects();
};

}  // namespace weir::test
