// SPDX-License-Identifier: Apache-2.0
// The BPF objects in the kernel: created and pinned by the first agent on a pin path, adopted by
// every later one.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "kernel/map.hpp"
#include "kernel/pins.hpp"
#include "plan/tables.hpp"

namespace weir::kernel {

// What the datapath is told of the options: fields of weir_config.
struct DatapathSettings {
  std::vector<weir_port_range> source_ports;  // one or two
  std::chrono::seconds life_tcp{86'400};
  std::chrono::seconds life_tcp_half_closed{3'600};
  std::chrono::seconds life_tcp_closing{10};
  std::chrono::seconds life_udp{120};
  std::chrono::seconds life_half{60};
  std::uint64_t netns = 0;  // cookie of the namespace that the host edge serves; 0: none
  // Whose addresses that are no service's are dropped; at most one of each family.
  std::vector<Cidr> service_blocks;
};

class Objects {
 public:
  // Maps that exist keep their content; their sizes must be those of `limits`. Programs that are
  // pinned and were built from the same objects are kept, others replaced.
  static Result<Objects> load(const Pins& pins, const Limits& limits,
                              const DatapathSettings& settings);

  // Descriptor of a program by its name: "weir_up_in". Owned by this object.
  [[nodiscard]] int program(std::string_view name) const;
  // Whether the programs in the kernel were there already.
  [[nodiscard]] bool adopted() const { return adopted_; }

 private:
  std::map<std::string, UniqueFd, std::less<>> programs_;
  bool adopted_ = false;
};

// An error if the kernel refuses every call of bpf() whatever capabilities there are, as the
// seccomp profile of a container can have it.
Result<> bpf_allowed();

// A pinned program, by its name.
Result<UniqueFd> open_program(const Pins& pins, std::string_view name);

// Names of the pinned programs by their ids. (To ask the kernel for an id's name takes
// CAP_SYS_ADMIN; a pin need only be opened.) A path that is not there has none.
using ProgramNames = std::map<std::uint32_t, std::string>;
Result<ProgramNames> program_names(const Pins& pins);

// Entries of each map for these limits, by name; maps of fixed size are not in it.
std::map<std::string, std::uint32_t> map_sizes(const Limits& limits);

}  // namespace weir::kernel
