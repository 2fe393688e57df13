// SPDX-License-Identifier: Apache-2.0
// The collector: with as many flows as there can be, and what it takes away.
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <thread>

#include "bpf/datapath.hpp"
#include "bpf/flows/collector.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint32_t kFlows = 262144;
constexpr std::uint32_t kStale = 2048;
constexpr std::uint32_t kLife = 100;     // ticks
constexpr std::uint32_t kTicksLeft = 3;  // ticks until some lapse that are alive at first
constexpr milliseconds kLapsed{4300};    // that, and the tick that has begun
constexpr milliseconds kInTime{15000};   // beyond the lifetime
constexpr milliseconds kWindow{250};
constexpr std::uint64_t kLongest = 1000000;  // ns
constexpr std::uint64_t kBatch = 256;        // keys a callback

enum class Kind : std::uint8_t { kLive, kDead, kSoon };

Kind kind_of(std::uint32_t number) {
  if (number % 2 == 1) return Kind::kDead;
  return number % 16 == 0 ? Kind::kSoon : Kind::kLive;
}

constexpr std::uint32_t kDeadFlows = kFlows / 2;
constexpr std::uint32_t kLapsingFlows = kFlows / 16;
constexpr std::uint32_t kLiveFlows = kFlows - kDeadFlows - kLapsingFlows;

std::vector<Pair> crowd(std::uint32_t now) {
  std::vector<Pair> pairs;
  pairs.reserve(kFlows);
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    auto touched = now;
    if (kind_of(i) == Kind::kDead) touched = now - 1000;
    if (kind_of(i) == Kind::kSoon) touched = now - kLife + kTicksLeft - 1;
    pairs.push_back(make_pair(i, IPPROTO_TCP, touched));
  }
  return pairs;
}

// Places in the queue of flows that were replaced, and of flows that are no more.
void add_stale(Collector& collector, std::uint32_t now) {
  for (std::uint32_t i = 0; i < kStale / 2; ++i) {
    const auto live = make_pair(2 + 16 * i, IPPROTO_TCP, now);
    collector.add_stale(live.key, live.forward.token + 1);
    const auto none = make_pair(kFlows + i, IPPROTO_TCP, now);
    collector.add_stale(none.key, none.forward.token);
  }
}

// Halves in the flow table.
struct Survey {
  std::size_t live{}, dead{}, soon{};
};

Survey survey(const Collector& collector) {
  Survey found;
  for (const auto& key : collector.keys()) {
    const auto kind = kind_of(number_of(key));
    ++(kind == Kind::kLive ? found.live : kind == Kind::kDead ? found.dead : found.soon);
  }
  return found;
}

// The longest callback of each window of time, from `armed` until `limit` or until all is done.
class Watch {
 public:
  explicit Watch(Collector& collector) : collector_{collector} {}

  void until(milliseconds limit) {
    while (!done() && Clock::now() - armed_ < limit) {
      std::this_thread::sleep_for(kWindow);
      longest_.push_back(collector_.take_longest());
    }
  }
  [[nodiscard]] bool done() const {
    const auto state = collector_.state();
    return state.flows == kLiveFlows && state.queued == kLiveFlows;
  }
  [[nodiscard]] milliseconds elapsed() const {
    return std::chrono::duration_cast<milliseconds>(Clock::now() - armed_);
  }
  // Below the largest of all, which on a machine that is shared is the hypervisor's.
  [[nodiscard]] std::uint64_t usual() {
    std::sort(longest_.begin(), longest_.end());
    return longest_.at(longest_.size() / 2);
  }
  [[nodiscard]] std::uint64_t longest() {
    return *std::max_element(longest_.begin(), longest_.end());
  }

 private:
  Collector& collector_;
  Clock::time_point armed_{Clock::now()};
  std::vector<std::uint64_t> longest_;
};

}  // namespace

TEST_CASE("262,144 flows are collected a few at a time, each in time") {
  enter_topology();  // for root
  Collector collector{kFlows + kStale};
  collector.set_lifetimes({.tcp = kLife, .half_closed = 1, .closing = 1, .udp = 1});
  add_stale(collector, now_ticks());
  collector.add(crowd(now_ticks()));
  REQUIRE(survey(collector).dead == 2 * kDeadFlows);
  collector.arm();
  Watch watch{collector};

  watch.until(kInTime - milliseconds{500});
  const auto then = survey(collector);
  CHECK(then.dead == 0);
  CHECK(then.live == 2 * kLiveFlows);
  watch.until(kLapsed + kInTime);
  const auto took = watch.elapsed();
  const auto at_end = survey(collector);
  CHECK(at_end.live == 2 * kLiveFlows);
  CHECK(at_end.soon == 0);

  const auto state = collector.state();
  CHECK(state.flows == kLiveFlows);
  CHECK(state.queued == kLiveFlows);
  CHECK(state.expiry_deleted == kDeadFlows + kLapsingFlows);
  CHECK(collector.backend().live == kLiveFlows);
  CHECK(collector.backend().packets == std::uint64_t{5} * (kDeadFlows + kLapsingFlows));
  WARN(fmt::format(
      "{} callbacks of {:.1f} keys in {} ms; the longest {} ns, usually {} ns a window",
      state.expiry_runs,
      static_cast<double>(state.expiry_checked) / static_cast<double>(state.expiry_runs),
      took.count(), watch.longest(), watch.usual()));
  CHECK(state.expiry_checked <= kBatch * state.expiry_runs + kBatch);  // one may be at it
  CHECK(watch.usual() < kLongest);
}

namespace {

constexpr std::uint8_t kNone = 0;
constexpr std::uint8_t kFinSeen = WEIR_SEEN_FIN;
constexpr std::uint8_t kRstSeen = WEIR_SEEN_RST;

struct Case {
  const char* name;
  std::uint8_t proto;
  std::uint8_t forward;  // seen
  std::uint8_t reply;
  std::int32_t forward_idle;  // ticks
  std::int32_t reply_idle;
  bool gone;
};

// Lifetimes are 1000, 100 and 10 ticks for TCP, 50 for UDP and SCTP; the test may take a few
// itself.
constexpr Case kCases[]{
    {"TCP lives", IPPROTO_TCP, kNone, kNone, 990, 990, false},
    {"TCP is over", IPPROTO_TCP, kNone, kNone, 1001, 1001, true},
    {"the reply counts", IPPROTO_TCP, kNone, kNone, 5000, 0, false},
    {"the request counts", IPPROTO_TCP, kNone, kNone, 0, 5000, false},
    {"touched on another CPU just now", IPPROTO_TCP, kNone, kNone, -3, -3, false},
    {"client's FIN, lives", IPPROTO_TCP, kFinSeen, kNone, 90, 90, false},
    {"client's FIN, is over", IPPROTO_TCP, kFinSeen, kNone, 101, 101, true},
    {"backend's FIN, lives", IPPROTO_TCP, kNone, kFinSeen, 90, 90, false},
    {"backend's FIN, is over", IPPROTO_TCP, kNone, kFinSeen, 101, 101, true},
    {"both FINs, lives", IPPROTO_TCP, kFinSeen, kFinSeen, 3, 3, false},
    {"both FINs, is over", IPPROTO_TCP, kFinSeen, kFinSeen, 11, 11, true},
    {"client's RST, lives", IPPROTO_TCP, kRstSeen, kNone, 3, 3, false},
    {"client's RST, is over", IPPROTO_TCP, kRstSeen, kNone, 11, 11, true},
    {"backend's RST, is over", IPPROTO_TCP, kNone, kRstSeen, 11, 11, true},
    {"UDP lives", IPPROTO_UDP, kNone, kNone, 40, 40, false},
    {"UDP is over", IPPROTO_UDP, kNone, kNone, 51, 51, true},
    {"SCTP lives", IPPROTO_SCTP, kNone, kNone, 40, 40, false},
    {"SCTP is over", IPPROTO_SCTP, kNone, kNone, 51, 51, true},
};

void wait_for(const std::function<bool()>& done) {
  const auto limit = Clock::now() + std::chrono::seconds{3};
  while (!done() && Clock::now() < limit) std::this_thread::sleep_for(milliseconds{10});
  REQUIRE(done());
}

std::vector<Pair> pairs_of_cases() {
  std::vector<Pair> pairs;
  const auto now = static_cast<std::int32_t>(now_ticks());
  for (const auto& row : kCases) {
    auto pair = make_pair(static_cast<std::uint32_t>(pairs.size()), row.proto, 0);
    pair.forward.seen = row.forward;
    pair.reply.seen = row.reply;
    pair.forward.touched = static_cast<std::uint32_t>(now - row.forward_idle);
    pair.reply.touched = static_cast<std::uint32_t>(now - row.reply_idle);
    pairs.push_back(pair);
  }
  return pairs;
}

}  // namespace

TEST_CASE("how long a flow is kept depends on how far it has ended") {
  enter_topology();
  Collector collector{64};
  collector.set_lifetimes({.tcp = 1000, .half_closed = 100, .closing = 10, .udp = 50});
  const auto pairs = pairs_of_cases();
  collector.add(pairs);
  collector.arm();
  // Few flows are looked at one a callback.
  wait_for([&] { return collector.state().expiry_checked > 3 * pairs.size(); });

  std::multiset<std::uint32_t> halves;
  for (const auto& key : collector.keys()) halves.insert(number_of(key));
  for (std::uint32_t i = 0; i < pairs.size(); ++i) {
    INFO(kCases[i].name);
    CHECK(halves.count(i) == (kCases[i].gone ? 0 : 2));
  }
}

TEST_CASE("a flow that has lost its reply half is collected by what is left") {
  enter_topology();
  Collector collector{64};
  collector.set_lifetimes({.tcp = 100, .half_closed = 1, .closing = 1, .udp = 1});
  const auto old = make_pair(1, IPPROTO_TCP, now_ticks() - 101);
  const auto fresh = make_pair(2, IPPROTO_TCP, now_ticks());
  collector.add({old, fresh});
  collector.erase(reply_key(old));
  collector.erase(reply_key(fresh));
  collector.arm();
  wait_for([&] { return collector.state().expiry_checked > 8; });
  CHECK(collector.keys() == std::vector{fresh.key});
  CHECK(collector.state().flows == 1);
  CHECK(collector.backend().live == 1);
}

TEST_CASE("the collector looks at all flows in a second or so, however few there are") {
  enter_topology();
  Collector collector{64};
  collector.set_lifetimes({.tcp = 100, .half_closed = 1, .closing = 1, .udp = 1});
  collector.add({make_pair(1, IPPROTO_TCP, now_ticks())});
  collector.arm();
  const auto before = collector.state().expiry_runs;
  wait_for([&] { return collector.state().expiry_runs > before + 20; });
  const auto state = collector.state();
  CHECK(state.expiry_checked <= state.expiry_runs + 1);  // one key a callback, not all over again
}

TEST_CASE("places of flows that are no more go as fast as if they were there") {
  enter_topology();
  constexpr std::uint32_t kGone = 10000;
  Collector collector{kGone + 64};
  collector.set_lifetimes({.tcp = 100, .half_closed = 1, .closing = 1, .udp = 1});
  for (std::uint32_t i = 0; i < kGone; ++i) {
    const auto gone = make_pair(i, IPPROTO_TCP, 0);
    collector.add_stale(gone.key, gone.forward.token);
  }
  collector.arm();
  // They count against the number of flows: while they are there, new ones find no place.
  wait_for([&] { return collector.state().expiry_runs > 100; });
  CHECK(collector.state().queued < kGone / 2);
}

}  // namespace weir::test
