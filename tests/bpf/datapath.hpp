// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/abi.hpp"
#include "bpf/topology.hpp"
#include "support/frame.hpp"
#include "support/packet.hpp"

namespace weir::test {

enum class Hook : std::uint8_t { kXdp, kUpIn, kUpOut, kRawIn, kRawOut, kPodIn, kPodOut };
enum class Verdict : std::uint8_t { kNext, kDrop, kTransmit, kRedirect, kOther };
using Names = std::vector<std::string>;  // of counters, in the order of the ABI

std::ostream& operator<<(std::ostream& out, Hook hook);
std::ostream& operator<<(std::ostream& out, Verdict verdict);

struct Ran {
  Verdict verdict{Verdict::kOther};
  Frame out;
  Names counted;  // one entry for each time
  // tc had the next hop's address in the flow's record and wrote it: the right one, which is taken
  // out of `out` again. Otherwise the kernel would now look it up. A matter of speed, and of when
  // the tick changes.
  bool straight{};
};

struct Backend {
  Endpoint at;
  bool local{};  // on this node
};

struct Frontend {
  Endpoint at;  // of a node port, only the port counts
  weir_frontend kind{WEIR_FRONTEND_CLUSTER_IP};
};

// One service port of one family, as a cluster has it; its local list follows.
struct Service {
  std::uint8_t proto{IPPROTO_TCP};
  std::vector<Frontend> frontends;
  std::vector<Backend> backends;
  std::uint32_t policies{};  // WEIR_VERSION_INTERNAL_LOCAL, WEIR_VERSION_EXTERNAL_LOCAL
  std::uint32_t affinity{};  // seconds
  std::uint32_t ranges{};    // set
};

struct Served {
  std::uint32_t id{};
  std::vector<std::uint32_t> backends;  // indices, in the service's order
};

enum class FlowTable : std::uint8_t { kEstablished, kHalfTcp, kHalfUdp };

// What the programs call now.
std::uint32_t now_ticks();

weir_addr to_addr(const std::string& ip);
weir_flow_key to_key(std::uint8_t proto, const Endpoint& from, const Endpoint& to);

// The kernel half with tables that this writes itself, sharing nothing with the agent. The
// programs are loaded once a process; each Datapath starts with empty tables.
class Datapath {
 public:
  static constexpr std::uint64_t kSeed = 0x5eed5eed5eed5eed;

  Datapath();

  Served serve(const Service& service);
  void start_backends_at(std::uint32_t index) { next_backend_ = index; }
  void publish(const Served& served, const Service& service, std::uint32_t version);
  void unpublish(const Served& served);  // its current version becomes none
  void set_state(std::uint32_t backend, weir_backend_state state);
  void give_backend(std::uint32_t backend, std::uint32_t service);
  void recycle(std::uint32_t backend);  // the index is another backend's from now on
  void bump_epoch();
  void add_range(std::uint32_t set, const std::string& ip, std::uint32_t prefix);
  [[nodiscard]] std::optional<weir_affinity> affinity(const std::string& client,
                                                      std::uint32_t service) const;
  void set_affinity(const std::string& client, std::uint32_t service, const weir_affinity& value);
  void set_flags(std::uint32_t backend, std::uint32_t flags);
  void configure(const std::function<void(weir_config&)>& change);
  void set_address(const std::string& ip, std::uint32_t bits);  // 0: forget it
  // What the filters in front of the tables say; until then that all may be there. Both are cut
  // short, see objects.cpp: only for addresses of word 127 and below, and ports below 8192.
  void set_filter(const std::string& ip, std::uint32_t bits);
  void set_port_known(std::uint16_t port, bool known);
  void set_device(Device device, const weir_device& value);
  void allow_xdp_to(Device device);

  Ran run(Hook hook, Device device, const Frame& in, std::uint32_t gso_size = 0);
  // Verdict and bytes alone, for sweeps.
  Ran run_uncounted(Hook hook, Device device, const Frame& in, std::uint32_t gso_size = 0);
  // As run_uncounted, with CHECKSUM_COMPLETE; nullopt where the kernel can't (before 6.16).
  // Fails the test if the program left the sum wrong.
  std::optional<Ran> run_complete(Hook hook, Device device, const Frame& in);

  [[nodiscard]] std::optional<weir_flow> flow(FlowTable table, const weir_flow_key& key) const;
  void set_flow(FlowTable table, const weir_flow_key& key, const weir_flow& value);
  // As it must be to be taken for that key's, and its way for its own.
  void set_flow_sealed(FlowTable table, const weir_flow_key& key, weir_flow value);
  void erase_flow(FlowTable table, const weir_flow_key& key);
  [[nodiscard]] std::size_t count_flows(FlowTable table) const;
  [[nodiscard]] weir_backend backend(std::uint32_t index) const;
  [[nodiscard]] weir_state state() const;
  [[nodiscard]] weir_stat stat(std::uint32_t service) const;
  [[nodiscard]] int arm_expiry();

 private:
  void node_tables();
  void add_address(const std::string& ip, std::uint32_t bits);
  std::uint32_t add_backend(std::uint32_t service, std::uint8_t proto, const Backend& backend);
  std::uint32_t add_slots(const std::vector<std::uint32_t>& backends);

  std::uint32_t next_service_{1};
  std::uint32_t next_backend_;
  std::uint32_t next_version_{1};
  std::uint32_t next_slot_{1};
};

}  // namespace weir::test
