// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/events.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace weir::kubernetes {
namespace {

// As the API's own recorder does with what has no namespace.
std::string namespace_of(const Notice& notice) {
  return notice.ns.empty() ? "default" : notice.ns;
}

}  // namespace

Events::Events(EventLoop& loop, Transport& transport, std::string node, const Pace& pace)
    : loop_{loop},
      transport_{transport},
      node_{std::move(node)},
      pace_{pace},
      timer_{loop.new_timer()},
      tokens_{pace.burst} {}

Events::~Events() {
  if (open_) transport_.cancel(request_);
  loop_.drop_timer(timer_);
}

Events::Identity Events::identity(const Notice& notice) {
  return {notice.object, notice.ns, notice.name, notice.reason, notice.note};
}

void Events::report(std::vector<Notice> notices) {
  std::map<Identity, State> states;
  notices_.clear();
  for (auto& notice : notices) {
    if (notices_.size() == kMaxNotices) break;
    const auto [place, added] =
        states.try_emplace(identity(notice), State{std::chrono::system_clock::now()});
    if (!added) continue;
    if (const auto known = states_.find(place->first); known != states_.end())
      place->second = known->second;
    notices_.push_back(std::move(notice));
  }
  states_ = std::move(states);
  work();
}

const Notice* Events::next() const {
  const auto found = std::ranges::find_if(
      notices_, [this](const Notice& notice) { return !states_.at(identity(notice)).done; });
  return found == notices_.end() ? nullptr : &*found;
}

void Events::work() {
  const Notice* const notice = open_ ? nullptr : next();
  if (notice == nullptr) return;
  const auto now = Clock::now();
  refill(now);
  if (now < not_before_) return work_in(not_before_ - now);
  if (tokens_ == 0) return work_in(refilled_ + pace_.refill - now);
  --tokens_;
  post(*notice);
}

void Events::work_in(Clock::duration delay) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(delay);
  if (auto set = loop_.after(timer_, left, [this] { work(); }); !set)
    log::debug("kubernetes: events: {}", set.error().message());
}

void Events::refill(Clock::time_point now) {
  const auto periods = (now - refilled_) / pace_.refill;
  refilled_ += periods * pace_.refill;
  const auto room = static_cast<std::int64_t>(pace_.burst - tokens_);
  tokens_ += static_cast<unsigned>(std::min<std::int64_t>(room, periods));
}

void Events::post(const Notice& notice) {
  open_ = identity(notice);
  State& state = states_.at(*open_);
  ++state.attempts;
  head_ = {};
  request_ = transport_.send(
      {.method = "POST",
       .target = "/apis/events.k8s.io/v1/namespaces/" + namespace_of(notice) + "/events",
       .content_type = "application/json",
       .body = event_json(notice, node_, state.since),
       .whole = std::chrono::seconds{30}},
      *this);
}

bool Events::settle(const Result<>& how, const State& state) {
  const bool answered = how && head_.status < 500 && head_.status != 429;
  if (answered && head_.status == 403 && !std::exchange(told_forbidden_, true))
    log::warning("kubernetes: events cannot be posted: the API server does not allow it (403)");
  if (answered) return true;
  const std::string why = how ? fmt::format("status {}", head_.status) : how.error().message();
  log::debug("kubernetes: an event was not posted: {}", why);
  return state.attempts >= pace_.attempts;
}

void Events::end(const Result<>& how) {
  const auto identity = std::exchange(open_, std::nullopt);
  const auto found = states_.find(*identity);
  // One that is gone meanwhile is not tried again.
  const State state =
      found == states_.end() ? State{.since = {}, .attempts = pace_.attempts} : found->second;
  if (!settle(how, state))
    not_before_ =
        Clock::now() +
        std::max<Clock::duration>(pace_.retry, head_.retry_after.value_or(std::chrono::seconds{0}));
  else if (found != states_.end())
    found->second.done = true;
  work();
}

}  // namespace weir::kubernetes
