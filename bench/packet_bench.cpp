// SPDX-License-Identifier: Apache-2.0
#include "packet_bench.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace weir::bench {
namespace {

constexpr std::uint32_t kPortsOfAClient = 16'384;
constexpr std::uint16_t kFirstPort = 20'000;
constexpr std::uint32_t kFresh = 1U << 20;  // new flows come from clients beyond the established

[[noreturn]] void give_up(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

int checked(int result, const std::string& what) {
  if (result < 0) give_up(what);
  return result;
}

std::uint16_t ones_sum(std::uint16_t was, std::uint16_t is) {
  std::uint32_t total = static_cast<std::uint16_t>(~was) + std::uint32_t{is};
  total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(total);
}

// The difference in a checksum, so that adding it to the old one gives the new one.
std::uint16_t check_diff(std::uint16_t was, std::uint16_t is) {
  return ones_sum(static_cast<std::uint16_t>(~was), static_cast<std::uint16_t>(~is));
}

bool is_xdp(const std::string& program) {
  return program.ends_with("xdp");
}

// By batches: to ask for the first key again and again walks over all that is empty by then.
void empty(int hash, std::size_t key_size, std::size_t value_size) {
  constexpr std::uint32_t kBatch = 4096;
  std::vector<std::uint8_t> keys(kBatch * key_size), values(kBatch * value_size);
  __u32 at{}, count{};
  for (int result = 0, first = 1; result == 0; first = 0) {
    count = kBatch;
    result = bpf_map_lookup_and_delete_batch(hash, first ? nullptr : &at, &at, keys.data(),
                                             values.data(), &count, nullptr);
    if (result != 0 && errno != ENOENT) give_up("empty a table");
  }
}

// A test run's options, and the context that says on which device the packet came in.
struct TestRun {
  bpf_test_run_opts options{};
  xdp_md at_xdp{};
  __sk_buff at_tc{};

  TestRun(bool xdp, std::uint32_t ifindex, const Bytes& in) {
    options.sz = sizeof options;
    options.data_in = in.data();
    options.data_size_in = static_cast<__u32>(in.size());
    at_xdp.data_end = options.data_size_in;
    at_xdp.ingress_ifindex = ifindex;
    at_tc.ifindex = ifindex;
    options.ctx_in = xdp ? static_cast<void*>(&at_xdp) : &at_tc;
    options.ctx_size_in = xdp ? sizeof at_xdp : sizeof at_tc;
  }
  TestRun(const TestRun&) = delete;
  TestRun& operator=(const TestRun&) = delete;
};

}  // namespace

Bench::Bench() : skeleton_{weir_bench_packet_bpf::open_and_load()} {
  if (!skeleton_) give_up("load the harness");
}

void Bench::target(const std::string& netns, const std::string& pins, const std::string& device,
                   const std::string& mac) {
  const int fd = checked(open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC), netns);
  checked(setns(fd, CLONE_NEWNET), netns);
  close(fd);
  pins_ = pins;
  ifindex_ = if_nametoindex(device.c_str());
  if (ifindex_ == 0) give_up(device);
  ether_addr parsed{};
  if (ether_aton_r(mac.c_str(), &parsed) == nullptr) give_up(mac);
  std::memcpy(aim_.mac.data(), &parsed, aim_.mac.size());
}

void Bench::aim(bool v4, const std::string& client, const std::string& frontend,
                std::uint16_t port) {
  aim_.v4 = v4;
  aim_.client = address(client, v4);
  aim_.frontend = address(frontend, v4);
  aim_.port = port;
  established_.clear();
  replies_.clear();
  empty(bpf_map__fd(skeleton_->maps.ref_flows), sizeof(ref_key), sizeof(ref_flow));
}

int Bench::program(const std::string& name) {
  if (auto* own = bpf_object__find_program_by_name(skeleton_->obj, name.c_str()))
    return bpf_program__fd(own);
  if (stages_)
    if (auto* stage = bpf_object__find_program_by_name(stages_->obj, name.c_str()))
      return bpf_program__fd(stage);
  const auto path = pins_ + "/programs/" + name;
  const auto known = programs_.find(path);
  if (known != programs_.end()) return known->second;
  return programs_[path] = checked(bpf_obj_get(path.c_str()), path);
}

Bytes Bench::through(int program, bool xdp, const Bytes& in) const {
  Bytes out(in.size());
  TestRun test{xdp, ifindex_, in};
  test.options.data_out = out.data();
  test.options.data_size_out = static_cast<__u32>(out.size());
  checked(bpf_prog_test_run_opts(program, &test.options), "test run");
  return out;
}

Tuple Bench::tuple(std::uint32_t i) const {
  return {.from = plus(aim_.client, i / kPortsOfAClient),
          .to = aim_.frontend,
          .sport = static_cast<std::uint16_t>(kFirstPort + i % kPortsOfAClient),
          .dport = aim_.port};
}

// The reference does to this packet what weir did.
void Bench::refer(const Tuple& asked, const Bytes& sent) const {
  const auto was = summary(aim_, frame(aim_, asked)), is = summary(aim_, sent);
  ref_key key{.saddr = was.saddr, .daddr = was.daddr, .sport = was.sport, .dport = was.dport};
  ref_flow flow{};
  flow.saddr = is.saddr;
  flow.daddr = is.daddr;
  flow.sport = is.sport;
  flow.dport = is.dport;
  flow.ip_diff = check_diff(was.ip_check, is.ip_check);
  flow.l4_diff = check_diff(was.l4_check, is.l4_check);
  std::memcpy(flow.dmac, sent.data(), sizeof flow.dmac);
  std::memcpy(flow.smac, &sent[ETH_ALEN], sizeof flow.smac);
  flow.ifindex = ifindex_;
  const std::uint32_t one = 1;
  checked(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.ref_address), &key.daddr, &one, BPF_ANY),
          "the reference's addresses");
  checked(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.ref_flows), &key, &flow, BPF_ANY),
          "the reference's flows");
}

void Bench::establish_one(int program, bool xdp, const Tuple& asked) {
  auto sent = through(program, xdp, frame(aim_, asked));
  // XDP leaves a flow's packet to tc now and then.
  if (read(aim_, sent).to == asked.to)
    sent = through(this->program("weir_up_in"), false, frame(aim_, asked));
  const auto reply = mirrored(read(aim_, sent));
  if (reply.from == asked.to) throw std::runtime_error("a request was not translated");
  const auto answered = through(program, xdp, frame(aim_, reply));
  established_.push_back(asked);
  replies_.push_back(reply);
  if (!aim_.v4) return;
  refer(asked, sent);
  refer(reply, answered);
}

void Bench::establish(const std::string& name, std::uint32_t flows) {
  established_.clear();
  replies_.clear();
  for (std::uint32_t i = 0; i < flows; ++i) establish_one(program(name), is_xdp(name), tuple(i));
}

void Bench::fill(std::vector<Tuple> packets) {
  std::ranges::shuffle(packets, random_);
  if (packets.empty() || packets.size() > BENCH_PACKETS) throw std::runtime_error("no such list");
  // A power of two, filled up from the front.
  std::uint32_t room = 1;
  while (room < packets.size()) room *= 2;
  std::vector<std::uint32_t> keys(room);
  std::vector<bench_packet> values(room);
  for (std::uint32_t i = 0; i < room; ++i) {
    keys[i] = i;
    values[i] = summary(aim_, frame(aim_, packets[i % packets.size()]));
  }
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  __u32 count = room;
  checked(bpf_map_update_batch(bpf_map__fd(skeleton_->maps.bench_packets), keys.data(),
                               values.data(), &count, &options),
          "the list of packets");
  const auto model = frame(aim_, packets.front());
  std::memcpy(skeleton_->bss->model, model.data(), sizeof skeleton_->bss->model);
  skeleton_->bss->mask = room - 1;
}

void Bench::list(const std::string& kind, std::uint32_t count) {
  if (kind == "new") {
    std::vector<Tuple> fresh;
    fresh.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) fresh.push_back(tuple(kFresh + fresh_++));
    return fill(std::move(fresh));
  }
  const auto& from = kind == "reply" ? replies_ : established_;
  if (from.size() < count) throw std::runtime_error("not so many flows are established");
  fill({from.begin(), from.begin() + count});
}

Ran Bench::run(bool xdp, const std::string& name, std::uint32_t count) {
  const int tested = program(name);
  const std::uint32_t zero = 0;
  auto* jump = xdp ? skeleton_->maps.bench_xdp_target : skeleton_->maps.bench_tc_target;
  checked(bpf_map_update_elem(bpf_map__fd(jump), &zero, &tested, BPF_ANY), name);
  const auto& programs = skeleton_->progs;
  const auto* harness = xdp ? (aim_.v4 ? programs.bench_xdp4 : programs.bench_xdp6)
                            : (aim_.v4 ? programs.bench_tc4 : programs.bench_tc6);
  Bytes in(kFrame);
  std::memcpy(in.data(), skeleton_->bss->model, sizeof skeleton_->bss->model);
  TestRun test{xdp, ifindex_, in};
  test.options.repeat = static_cast<int>(count);
  skeleton_->bss->turn = 0;
  skeleton_->bss->changed = 0;
  checked(bpf_prog_test_run_opts(bpf_program__fd(harness), &test.options), name);
  // The kernel's own time: around it, an XDP test run waits for RCU.
  return {.ns = test.options.duration, .changed = skeleton_->bss->changed};
}

// Over the agent's maps, which the object would else look for, and pin, where no agent is.
void Bench::load_stages() {
  stages_.reset(weir_bench_stages_bpf::open(nullptr));
  if (!stages_) give_up("open the stages");
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, stages_->obj) {
    bpf_map__set_pin_path(map, nullptr);
    const int fd = bpf_obj_get((pins_ + "/maps/" + bpf_map__name(map)).c_str());
    if (fd < 0) continue;
    checked(bpf_map__reuse_fd(map, fd), bpf_map__name(map));
    close(fd);
  }
  if (weir_bench_stages_bpf::load(stages_.get()) != 0) give_up("load the stages");
}

void Bench::forget() {
  for (const auto* name : {"/maps/weir_half_tcp", "/maps/weir_half_udp"}) {
    const int fd = checked(bpf_obj_get((pins_ + name).c_str()), name);
    empty(fd, sizeof(weir_flow_key), sizeof(weir_flow));
    close(fd);
  }
}

}  // namespace weir::bench
