// SPDX-License-Identifier: Apache-2.0
#include "bpf/host/node.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string_view>

#include "weir_sock.skel.h"

namespace weir::test {
namespace {

constexpr std::uint32_t kEntries = 512;

void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error{command};
}

[[noreturn]] void skip(const char* why) {
  std::printf("skipped: %s\n", why);
  std::exit(77);
}

std::string cgroup2_root() {
  if (::geteuid() != 0) skip("needs root for network namespaces and BPF");
  std::ifstream mounts{"/proc/mounts"};
  std::string what, where, kind, rest;
  while (mounts >> what >> where >> kind && std::getline(mounts, rest))
    if (kind == "cgroup2") return where;
  skip("cgroup v2 is not mounted");
}

// Where this process was: the line of the unified hierarchy.
std::string own_cgroup() {
  std::ifstream file{"/proc/self/cgroup"};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::")) return line.substr(3);
  return "/";
}

void move_to(const std::string& cgroup) {
  std::ofstream file{cgroup + "/cgroup.procs"};
  file << ::getpid() << std::flush;
  need(file.good(), "move into " + cgroup);
}

// A cgroup with this process in it, gone with it.
class OwnCgroup {
 public:
  OwnCgroup()
      : root_{cgroup2_root()},
        before_{root_ + own_cgroup()},
        path_{root_ + "/weir-host-test-" + std::to_string(::getpid())} {
    need(::mkdir(path_.c_str(), 0700) == 0, "make " + path_);
    move_to(path_);
    fd_ = UniqueFd{::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    need(static_cast<bool>(fd_), "open " + path_);
  }
  ~OwnCgroup() {
    std::ofstream{before_ + "/cgroup.procs"} << ::getpid() << std::flush;
    ::rmdir(path_.c_str());
  }
  OwnCgroup(const OwnCgroup&) = delete;
  OwnCgroup& operator=(const OwnCgroup&) = delete;
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  std::string root_, before_, path_;
  UniqueFd fd_;
};

weir_sock_bpf* load() {
  auto* skeleton = weir_sock_bpf::open(nullptr);
  need(skeleton != nullptr, "open weir_sock");
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    need(bpf_map__set_pin_path(map, nullptr) == 0, "keep unpinned");
    if (bpf_map__name(map) == std::string_view{"weir_stream"})  // so that it can be looked through
      need(bpf_map__set_map_flags(map, BPF_F_MMAPABLE) == 0, "flags");
    else if (bpf_map__type(map) == BPF_MAP_TYPE_ARRAY && bpf_map__max_entries(map) > kEntries)
      need(bpf_map__set_max_entries(map, kEntries) == 0, "size");
  }
  need(weir_sock_bpf::load(skeleton) == 0, "load weir_sock");
  return skeleton;
}

// What the whole process has. The links go with their descriptors, before the cgroup.
class Edge {
 public:
  static Edge& get() {
    static Edge edge;
    return edge;
  }
  [[nodiscard]] int map(const char* name) const {
    const auto* found = bpf_object__find_map_by_name(skeleton_->obj, name);
    if (found == nullptr) throw std::runtime_error{name};
    return bpf_map__fd(found);
  }
  [[nodiscard]] const bpf_object* object() const { return skeleton_->obj; }

 private:
  Edge() {
    need(::unshare(CLONE_NEWNET) == 0, "make a network namespace");
    for (const auto* net : {&kNet4, &kNet6}) set_up_loopback({net->node, net->pod0, net->pod1});
    shell("ip route add local " + kNet4.pods + "0/24 dev lo");
    shell("ip route add local " + kNet6.pods + "0/112 dev lo");
    skeleton_ = load();
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton_->obj) {
      UniqueFd link{bpf_link_create(bpf_program__fd(program), cgroup_.fd(),
                                    bpf_program__expected_attach_type(program), nullptr)};
      need(static_cast<bool>(link), std::string{"attach "} + bpf_program__name(program));
      links_.push_back(std::move(link));
    }
  }

  OwnCgroup cgroup_;
  weir_sock_bpf* skeleton_ = nullptr;
  std::vector<UniqueFd> links_;
};

template <class Key, class Value>
void put(const char* map, const Key& key, const Value& value) {
  need(bpf_map_update_elem(Edge::get().map(map), &key, &value, BPF_ANY) == 0, map);
}

template <class Value, class Key>
Value read(const char* map, const Key& key) {
  Value value{};
  need(bpf_map_lookup_elem(Edge::get().map(map), &key, &value) == 0, map);
  return value;
}

template <class Key>
std::vector<Key> keys(const char* map) {
  std::vector<Key> all;
  Key key{};
  const int fd = Edge::get().map(map);
  for (int rc = bpf_map_get_next_key(fd, nullptr, &key); rc == 0;
       rc = bpf_map_get_next_key(fd, &key, &key))
    all.push_back(key);
  return all;
}

// Every set.
std::span<const weir_stream_set> stream_sets() {
  static const auto* all = static_cast<const weir_stream_set*>(
      ::mmap(nullptr, WEIR_STREAM_SETS * sizeof(weir_stream_set), PROT_READ, MAP_SHARED,
             Edge::get().map("weir_stream"), 0));
  need(all != MAP_FAILED, "map weir_stream");
  return {all, WEIR_STREAM_SETS};
}

std::size_t used_ways(const weir_stream_set& set) {
  return WEIR_STREAM_WAYS - static_cast<std::size_t>(std::ranges::count(set.cookie, 0));
}

std::uint32_t set_of(std::uint64_t cookie) {
  return static_cast<std::uint32_t>(cookie % WEIR_STREAM_SETS);
}

template <class Key>
void clear(const char* map) {
  for (const auto& key : keys<Key>(map)) bpf_map_delete_elem(Edge::get().map(map), &key);
}

}  // namespace

const Net kNet4{AF_INET,     "10.96.0.10", "203.0.113.10", "192.0.2.1",
                "127.0.0.1", "10.244.1.1", "10.244.1.2",   "10.244.9."};
const Net kNet6{AF_INET6, "fd00:96::10",  "2001:db8:203::10", "2001:db8:192::1",
                "::1",    "fd00:244::11", "fd00:244::12",     "fd00:244::9:"};

void enter_node() {
  static_cast<void>(Edge::get());
}

Node::Node() {
  static_cast<void>(Edge::get());
  clear<weir_addr>("weir_address");
  clear<weir_service_key>("weir_service");
  clear<weir_socket_key>("weir_peer");
  clear<weir_socket_key>("weir_sticky");
  for (std::uint32_t i = 0; i < WEIR_STREAM_SETS; ++i)
    if (used_ways(stream_sets()[i]) != 0) put("weir_stream", i, weir_stream_set{});
  for (std::uint32_t i = 0; i < kEntries; ++i) {
    put("weir_current", i, std::uint32_t{});
    put("weir_backend", i, weir_backend{});
    put("weir_stat", i, weir_stat{});
  }
  const std::vector<std::uint64_t> zeros(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (std::uint32_t i = 0; i < WEIR_COUNTER_MAX; ++i)
    bpf_map_update_elem(Edge::get().map("weir_counter"), &i, zeros.data(), BPF_ANY);
  for (const auto* net : {&kNet4, &kNet6})
    set_address(net->node, WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT);
  set_netns(own_netns_cookie());
}

Node::~Node() {
  put("weir_config", std::uint32_t{}, weir_config{});
}

std::uint32_t Node::serve(std::uint8_t proto, const std::vector<Frontend>& frontends,
                          const std::vector<std::string>& cluster,
                          const std::vector<std::string>& local, std::uint32_t flags) {
  const std::uint32_t id = next_service_++;
  const auto list = [&](const std::vector<std::string>& ips) {
    const weir_list made{.first = next_slot_, .count = static_cast<__u32>(ips.size())};
    for (const auto& ip : ips) {
      weir_backend backend{};
      backend.addr = to_addr(ip);
      backend.port = htons(kTarget);
      backend.proto = proto;
      backend.state = WEIR_BACKEND_ACTIVE;
      backend.generation = 7;
      backend.service = id;
      put("weir_slot", next_slot_++, weir_slot{.backend = next_backend_, .zero = 0});
      put("weir_backend", next_backend_++, backend);
    }
    return made;
  };
  weir_version version{};
  version.cluster = list(cluster);
  version.local = list(local);
  version.service = id;
  version.flags = flags | (cluster.empty() ? 0 : WEIR_VERSION_HAS_ENDPOINT);
  put("weir_version", id, version);
  put("weir_current", id, id);
  for (const auto& frontend : frontends) {
    const bool node_port = frontend.kind == WEIR_FRONTEND_NODE_PORT;
    weir_service_key key{};
    key.addr = to_addr(frontend.at.ip);
    if (node_port)
      key.addr = to_addr(frontend.at.ip.find(':') == std::string::npos ? "0.0.0.0" : "::");
    key.port = htons(frontend.at.port);
    key.proto = proto;
    put("weir_service", key,
        weir_service{.id = id, .frontend = static_cast<__u8>(frontend.kind), .zero = {}});
    if (!node_port) set_address(frontend.at.ip, WEIR_ADDRESS_SERVICE);
  }
  return id;
}

void Node::set_address(const std::string& ip, std::uint32_t bits) {
  put("weir_address", to_addr(ip), weir_address{.bits = bits});
}

void Node::set_state(std::uint32_t index, weir_backend_state state) {
  auto changed = backend(index);
  changed.state = static_cast<__u8>(state);
  put("weir_backend", index, changed);
}

void Node::recycle(std::uint32_t index) {
  auto changed = backend(index);
  ++changed.generation;
  put("weir_backend", index, changed);
}

void Node::set_netns(std::uint64_t cookie) {
  weir_config config{};
  config.seed = 1;
  config.netns = cookie;
  put("weir_config", std::uint32_t{}, config);
}

void Node::bind_ranges(std::uint32_t service, bool node_in_range) {
  auto version = read<weir_version>("weir_version", service);
  version.ranges = 1;
  version.flags &= ~static_cast<__u32>(WEIR_VERSION_RANGES_NODE);
  if (node_in_range) version.flags |= WEIR_VERSION_RANGES_NODE;
  put("weir_version", service, version);
}

void Node::prefer(std::uint32_t service, std::uint32_t index) {
  auto version = read<weir_version>("weir_version", service);
  put("weir_slot", next_slot_, weir_slot{.backend = index, .zero = 0});
  version.cluster = {.first = next_slot_++, .count = 1};
  put("weir_version", service, version);
}

std::uint64_t Node::count(weir_counter counter) const {
  std::vector<std::uint64_t> each(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  const auto key = static_cast<std::uint32_t>(counter);
  need(bpf_map_lookup_elem(Edge::get().map("weir_counter"), &key, each.data()) == 0, "counter");
  std::uint64_t sum = 0;
  for (const auto one : each) sum += one;
  return sum;
}

std::size_t Node::peers() const {
  return keys<weir_socket_key>("weir_peer").size();
}
std::size_t Node::streams() const {
  std::size_t sum = 0;
  for (const auto& set : stream_sets()) sum += used_ways(set);
  return sum;
}
std::size_t Node::stickies() const {
  return keys<weir_socket_key>("weir_sticky").size();
}
weir_backend Node::backend(std::uint32_t index) const {
  return read<weir_backend>("weir_backend", index);
}
weir_stat Node::stat(std::uint32_t service) const {
  return read<weir_stat>("weir_stat", service);
}

std::optional<weir_peer> Node::peer(const weir_socket_key& key) const {
  weir_peer found{};
  if (bpf_map_lookup_elem(Edge::get().map("weir_peer"), &key, &found) != 0) return std::nullopt;
  return found;
}
std::optional<weir_stream> Node::stream(std::uint64_t cookie) const {
  const auto& set = stream_sets()[set_of(cookie)];
  const auto* way = std::ranges::find(set.cookie, cookie);
  if (way == std::end(set.cookie)) return std::nullopt;
  return set.way[way - std::begin(set.cookie)];
}
void Node::set_stream(std::uint64_t of, std::uint64_t cookie, const weir_stream& stream) {
  auto set = stream_sets()[set_of(of)];
  auto* way = std::ranges::find(set.cookie, of);
  need(way != std::end(set.cookie), "a socket's record");
  *way = cookie;
  set.way[way - std::begin(set.cookie)] = stream;
  put("weir_stream", set_of(of), set);
}
void Node::crowd(std::uint64_t cookie, std::size_t ways) {
  weir_stream_set set{};
  for (std::size_t i = 0; i < ways; ++i) set.cookie[i] = i + 1;
  put("weir_stream", set_of(cookie), set);
}
void Node::set_peer(const weir_socket_key& key, const weir_peer& peer) {
  put("weir_peer", key, peer);
}
void Node::erase_peer(const weir_socket_key& key) {
  need(bpf_map_delete_elem(Edge::get().map("weir_peer"), &key) == 0, "erase");
}

weir_socket_key socket_key(std::uint64_t cookie, std::uint8_t proto, const End& end) {
  weir_socket_key key{};
  key.cookie = cookie;
  key.end.addr = to_addr(end.ip);
  key.end.port = htons(end.port);
  key.end.proto = proto;
  return key;
}

void set_up_loopback(const std::vector<std::string>& ips) {
  shell("ip link set lo up");
  for (const auto& ip : ips) {
    const bool v4 = ip.find(':') == ip.npos;
    shell("ip address add " + ip + (v4 ? "/32 dev lo" : "/128 dev lo nodad"));
    if (!v4)  // the kernel makes its route some time later
      shell("timeout 5 sh -c 'until ip route get " + ip +
            " | grep -q ^local; do sleep 0.01; done'");
  }
}

std::uint64_t own_netns_cookie() {
  const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  need(::getsockopt(fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0, "cookie");
  return cookie;
}

std::vector<std::pair<std::string, std::uint32_t>> verified_instructions() {
  std::vector<std::pair<std::string, std::uint32_t>> all;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, Edge::get().object()) {
    bpf_prog_info info{};
    std::uint32_t size = sizeof info;
    need(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0, "program info");
    all.emplace_back(bpf_program__name(program), info.verified_insns);
  }
  return all;
}

}  // namespace weir::test
