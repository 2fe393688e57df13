// SPDX-License-Identifier: Apache-2.0
// A node for the host edge: this process in a network namespace and a cgroup of its own, the
// programs on that cgroup, tables that are written here, and backends on the loopback device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/abi.hpp"
#include "bpf/host/socket.hpp"

namespace weir::test {

// The addresses of one family. All but the services' and the stranger's are the node's own.
struct Net {
  int family;
  std::string cluster_ip;
  std::string vip;
  std::string node;
  std::string localhost;
  std::string pod0;
  std::string pod1;
  std::string pods;  // a prefix of 99 more: append a number from 1 on
};
extern const Net kNet4;
extern const Net kNet6;

inline constexpr std::uint16_t kPort = 80;
inline constexpr std::uint16_t kNodePort = 30080;
inline constexpr std::uint16_t kTarget = 8080;

struct Frontend {
  End at;  // of a node port, only the port counts
  weir_frontend kind;
};

// Into its namespace and cgroup, with the programs attached; once a process.
void enter_node();

// Programs and maps are made once a process; each Node begins with empty tables, and serves this
// process's namespace.
class Node {
 public:
  Node();
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Ids and indexes count from 1, in the order of the calls. `flags`: enum weir_version_flag.
  std::uint32_t serve(std::uint8_t proto, const std::vector<Frontend>& frontends,
                      const std::vector<std::string>& cluster,
                      const std::vector<std::string>& local = {}, std::uint32_t flags = 0);
  void set_address(const std::string& ip, std::uint32_t bits);
  void set_state(std::uint32_t backend, weir_backend_state state);
  void recycle(std::uint32_t backend);  // the index is another backend's from now on
  void set_netns(std::uint64_t cookie);
  // It has source ranges, and an address of the node is in one of them, or is not.
  void bind_ranges(std::uint32_t service, bool node_in_range);
  // Only this backend is chosen from now on.
  void prefer(std::uint32_t service, std::uint32_t backend);

  [[nodiscard]] std::uint64_t count(weir_counter counter) const;
  [[nodiscard]] std::size_t streams() const;
  [[nodiscard]] std::size_t peers() const;
  [[nodiscard]] std::size_t stickies() const;
  [[nodiscard]] weir_backend backend(std::uint32_t index) const;
  [[nodiscard]] weir_stat stat(std::uint32_t service) const;
  [[nodiscard]] std::optional<weir_peer> peer(const weir_socket_key& key) const;
  // Of a TCP socket; that it has one.
  [[nodiscard]] std::optional<weir_stream> stream(std::uint64_t cookie) const;
  // In place of a socket's: the record and the cookie of its way.
  void set_stream(std::uint64_t of, std::uint64_t cookie, const weir_stream& stream);
  // So many ways of a socket's set are others'.
  void crowd(std::uint64_t cookie, std::size_t ways);
  void set_peer(const weir_socket_key& key, const weir_peer& peer);
  void erase_peer(const weir_socket_key& key);

 private:
  std::uint32_t next_service_ = 1;
  std::uint32_t next_backend_ = 1;
  std::uint32_t next_slot_ = 1;
};

weir_socket_key socket_key(std::uint64_t cookie, std::uint8_t proto, const End& end);
std::uint64_t own_netns_cookie();
// Gives the calling thread's network namespace its loopback device, with these addresses.
void set_up_loopback(const std::vector<std::string>& ips);
// Program by program: the instructions that the verifier walked.
std::vector<std::pair<std::string, std::uint32_t>> verified_instructions();

}  // namespace weir::test
