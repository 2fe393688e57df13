// SPDX-License-Identifier: Apache-2.0
// Records are recycled under their readers: what one reads may be another flow's by then. Nobody
// ever acts on it, and without the check of the key somebody does.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "bpf/conversation.hpp"
#include "bpf/objects.hpp"
#include "bpf/seal.h"
#include "support/catch.hpp"
#include "weir_tc.skel.h"
#include "weir_tc_blind.skel.h"
#include "weir_tc_slow.skel.h"

namespace weir::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kKeys = 16;         // of each writer, in a table that has room for no more
constexpr std::uint32_t kRepeat = 5000;     // runs a call
constexpr std::chrono::seconds kLimit{60};  // on a machine that does much else besides

// One program for pods' and clients' packets at an uplink, over the test's tables but a flow
// table of its own.
struct Program {
  std::shared_ptr<void> object;
  int fd{};
  int flows{};
};

template <class Skeleton>
Program load(std::uint32_t entries) {
  const std::shared_ptr<Skeleton> skeleton{Skeleton::open(nullptr), Skeleton::destroy};
  REQUIRE(skeleton);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    REQUIRE(bpf_map__set_pin_path(map, nullptr) == 0);
    const std::string name = bpf_map__name(map);
    if (name == "weir_flow")
      REQUIRE(bpf_map__set_max_entries(map, entries) == 0);
    else if (name.starts_with("weir_") && name != "weir_scratch" && !bpf_map__is_internal(map))
      REQUIRE(bpf_map__reuse_fd(map, Objects::get().map(name)) == 0);
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton->obj)
      bpf_program__set_autoload(program, program == skeleton->progs.weir_up_in);
  REQUIRE(Skeleton::load(skeleton.get()) == 0);
  return {skeleton, bpf_program__fd(skeleton->progs.weir_up_in),
          bpf_map__fd(skeleton->maps.weir_flow)};
}

// A flow whose translation is what it was: so that a program can run on its own output again and
// again. Whoever acts on another's record comes out as that other, and stays it.
struct Flow {
  weir_flow_key key{};
  weir_flow record{};
  Frame frame;
};

Flow make_flow(Datapath& dp, const World& world, std::uint16_t port) {
  const Endpoint client{world.client, port};
  const Endpoint frontend{world.cluster_ip, 80};
  Flow flow{.key = to_key(IPPROTO_UDP, client, frontend),
            .record = {},
            .frame = from_uplink(IPPROTO_UDP, client, frontend).frame()};
  dp.run_uncounted(Hook::kUpIn, Device::kUp0, flow.frame);
  flow.record = dp.flow(FlowTable::kHalfUdp, flow.key).value();
  flow.record.saddr = flow.key.saddr;
  flow.record.daddr = flow.key.daddr;
  flow.record.sport = flow.key.sport;
  flow.record.dport = flow.key.dport;
  flow.record.addr_diff = 0;
  flow.record.port_diff = 0;
  weir_test_seal(&flow.key, Datapath::kSeed, &flow.record);
  return flow;
}

std::vector<Flow> make_flows(Datapath& dp, std::uint32_t count) {
  dp.serve({.proto = IPPROTO_UDP,
            .frontends = {{{kV4.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
            .backends = {{{kV4.pod0, 8080}, true}},
            .policies = 0});
  std::vector<Flow> flows;
  for (std::uint32_t i = 0; i < count; ++i)
    flows.push_back(make_flow(dp, kV4, static_cast<std::uint16_t>(20000 + i)));
  for (const auto& flow : flows) dp.erase_flow(FlowTable::kHalfUdp, flow.key);
  // From now on a packet without a flow passes untouched.
  dp.set_address(kV4.cluster_ip, WEIR_ADDRESS_NODE);
  return flows;
}

// When a run has seen enough.
enum class Until : std::uint8_t { kRuns, kRunsAndRecycled, kForeign };

struct Outcome {
  std::uint64_t runs{};
  std::uint64_t translated{};
  std::uint64_t recycled{};  // caught by the check
  std::uint64_t foreign{};   // calls that came out as another flow's packet
  std::uint64_t damaged{};   // records found written to by another flow
};

// Readers and writers on every CPU.
class Churn {
 public:
  Churn(const Program& program, std::vector<Flow> flows)
      : program_{program}, flows_{std::move(flows)} {}

  Outcome run(std::uint64_t runs, Until until);

 private:
  void read(std::size_t number);
  void write(std::size_t number);
  void rewrite(const std::vector<weir_flow_key>& keys, const std::vector<weir_flow>& records) const;
  void remove(const std::vector<weir_flow_key>& keys) const;
  void look(const std::vector<weir_flow_key>& keys, const std::vector<weir_flow>& records);

  Program program_;
  std::vector<Flow> flows_;
  std::atomic<std::uint64_t> runs_{};
  std::atomic<std::uint64_t> foreign_{};
  std::atomic<std::uint64_t> damaged_{};
  std::atomic<bool> failed_{};
  std::atomic<bool> stop_{};
};

// No Catch2 macro in a thread: they are for one alone.
void Churn::read(std::size_t number) {
  for (auto at = number; !stop_; ++at) {
    const auto& flow = flows_.at(at % flows_.size());
    Bytes out(flow.frame.bytes.size() + 64);
    __sk_buff context{};
    context.ifindex = 1;
    LIBBPF_OPTS(bpf_test_run_opts, opts);
    opts.data_in = flow.frame.bytes.data();
    opts.data_size_in = static_cast<__u32>(flow.frame.bytes.size());
    opts.data_out = out.data();
    opts.data_size_out = static_cast<__u32>(out.size());
    opts.ctx_in = &context;
    opts.ctx_size_in = sizeof context;
    opts.repeat = static_cast<int>(kRepeat);
    if (bpf_prog_test_run_opts(program_.fd, &opts) != 0) failed_ = true;
    out.resize(opts.data_size_out);
    if (out != flow.frame.bytes) ++foreign_;
    runs_ += kRepeat;
  }
}

void Churn::rewrite(const std::vector<weir_flow_key>& keys,
                    const std::vector<weir_flow>& records) const {
  auto count = static_cast<std::uint32_t>(keys.size());
  bpf_map_update_batch(program_.flows, keys.data(), records.data(), &count, nullptr);
}

void Churn::remove(const std::vector<weir_flow_key>& keys) const {
  auto count = static_cast<std::uint32_t>(keys.size());
  bpf_map_delete_batch(program_.flows, keys.data(), &count, nullptr);
}

// Nobody else writes or deletes these keys, so what is there must be what was put there.
void Churn::look(const std::vector<weir_flow_key>& keys, const std::vector<weir_flow>& records) {
  weir_flow found{};
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (bpf_map_lookup_elem(program_.flows, &keys[i], &found) == 0 &&
        found.check != records[i].check)
      ++damaged_;
}

// Writing a key that is there puts its old element aside for the next key that is written;
// deleting all hands the elements out anew, the last one first.
void Churn::write(std::size_t number) {
  std::vector<weir_flow_key> keys;
  std::vector<weir_flow> records;
  for (std::size_t i = number * kKeys; i < (number + 1) * kKeys; ++i) {
    keys.push_back(flows_.at(i).key);
    records.push_back(flows_.at(i).record);
  }
  while (!stop_) {
    const auto now = now_ticks();
    for (auto& record : records) record.touched = now;
    for (int i = 0; i < 8; ++i) {
      rewrite(keys, records);
      look(keys, records);
    }
    remove(keys);
    rewrite(keys, records);
    // One at a time, each into the element of the one before.
    for (std::size_t i = 0; i < keys.size(); ++i) bpf_map_delete_elem(program_.flows, &keys[i]);
    rewrite(keys, records);
  }
}

std::uint64_t counter(weir_counter which) {
  std::vector<std::uint64_t> values(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  const std::uint32_t key = which;
  REQUIRE(bpf_map_lookup_elem(Objects::get().map("weir_counter"), &key, values.data()) == 0);
  return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

Outcome Churn::run(std::uint64_t runs, Until until) {
  const auto translated = counter(WEIR_forward_tc);
  const auto recycled = counter(WEIR_flow_recycled);
  const auto began = Clock::now();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < flows_.size() / kKeys; ++i) {
    threads.emplace_back([this, i] { write(i); });
    threads.emplace_back([this, i] { read(i * kKeys); });
  }
  const auto enough = [&] {
    if (until == Until::kForeign) return foreign_ > 0;
    return runs_ >= runs && (until == Until::kRuns || counter(WEIR_flow_recycled) > recycled);
  };
  while (Clock::now() - began < kLimit && !enough())
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  stop_ = true;
  for (auto& thread : threads) thread.join();
  REQUIRE_FALSE(failed_);
  return {.runs = runs_,
          .translated = counter(WEIR_forward_tc) - translated,
          .recycled = counter(WEIR_flow_recycled) - recycled,
          .foreign = foreign_,
          .damaged = damaged_};
}

void tell(const char* what, const Outcome& outcome) {
  WARN(fmt::format("{}: {} runs, {} translated, {} records recycled, {} foreign, {} damaged", what,
                   outcome.runs, outcome.translated, outcome.recycled, outcome.foreign,
                   outcome.damaged));
}

template <class Skeleton>
Outcome churn(const char* what, std::uint64_t runs, Until until, bool swap = false) {
  Datapath dp;
  const auto keys = kKeys * std::max(2U, std::thread::hardware_concurrency());
  auto flows = make_flows(dp, keys);
  // Then each record, whenever it was written anew, has an epoch to be told of.
  if (swap) dp.bump_epoch();
  const auto outcome = Churn{load<Skeleton>(keys), std::move(flows)}.run(runs, until);
  tell(what, outcome);
  return outcome;
}

}  // namespace

TEST_CASE("under churn no packet is translated by another flow's record") {
  const auto outcome = churn<weir_tc_bpf>("as it is", 4000000, Until::kRuns);
  CHECK(outcome.foreign == 0);
  CHECK(outcome.translated > outcome.runs / 4);
}

TEST_CASE("a reader that is slow in the middle of a record is saved by the check alone") {
  const auto checked = churn<weir_tc_slow_bpf>("slow", 2000000, Until::kRunsAndRecycled);
  CHECK(checked.foreign == 0);
  CHECK(checked.recycled > 0);  // it was needed
  CHECK(checked.translated > checked.runs / 4);

  const auto swapping =
      churn<weir_tc_slow_bpf>("slow, and writing", 3000000, Until::kRunsAndRecycled, true);
  CHECK(swapping.foreign == 0);
  CHECK(swapping.damaged == 0);

  const auto blind = churn<weir_tc_blind_bpf>("slow and blind", 0, Until::kForeign);
  CHECK(blind.foreign > 0);
}

}  // namespace weir::test
