// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/client.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "source/kubernetes/connections.hpp"
#include "source/kubernetes/exchange.hpp"

namespace weir::kubernetes {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

}  // namespace

Client::Client(EventLoop& loop, ClientConfig config, Credentials credentials)
    : loop_{loop},
      config_{std::move(config)},
      credentials_{std::move(credentials)},
      work_timer_{loop.new_timer()},
      deadline_timer_{loop.new_timer()} {}

Client::~Client() {
  for (const auto& [id, exchange] : exchanges_) exchange->abandon();
  exchanges_.clear();
  cancelled_.clear();
  loop_.drop_timer(work_timer_);
  loop_.drop_timer(deadline_timer_);
}

Result<std::unique_ptr<Client>> Client::make(EventLoop& loop, ClientConfig config,
                                             Time (*clock)()) {
  if (auto done = check_config(config); !done) return fail(done.error(), "{}", config.origin);
  auto credentials = Credentials::load(config, clock());
  if (!credentials) return fail(credentials.error(), "{}", config.origin);
  std::unique_ptr<Client> client{new Client{loop, std::move(config), std::move(*credentials)}};
  client->clock_ = clock;
  if (auto done = client->prepare(); !done) return std::unexpected{done.error()};
  return client;
}

Result<> Client::prepare() {
  // What a timer needs is taken now, so that it is there when a request is sent.
  for (const auto timer : {work_timer_, deadline_timer_})
    if (auto set = loop_.after(timer, 0ms, [this] { work(); }); !set) return set;
  return renew();
}

Result<> Client::renew() {
  auto made = Connections::make(
      loop_, [this](CURL* easy, CURLcode code) { finished(Exchange::of(easy), code); });
  if (!made) return std::unexpected{made.error()};
  connections_ = std::move(*made);
  return {};
}

Transport::Id Client::send(Request request, Receiver& receiver) {
  const Id id = next_id_++;
  exchanges_.emplace(id, std::make_unique<Exchange>(id, std::move(request), receiver));
  waiting_.push_back(id);
  work_soon();
  return id;
}

void Client::cancel(Id id) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  found->second->abandon();
  cancelled_.push_back(std::move(found->second));
  exchanges_.erase(found);
  work_soon();
}

// libcurl's handles are neither added nor removed within its calls, and those call the receivers,
// which call send() and cancel().
void Client::work_soon() {
  if (loop_.armed(work_timer_)) return;
  if (auto set = loop_.after(work_timer_, 0ms, [this] { work(); }); !set)
    log::error("kubernetes: {}", set.error().message());
}

void Client::work() {
  std::exchange(cancelled_, {}).clear();
  for (const Id id : std::exchange(waiting_, {})) {
    const auto found = exchanges_.find(id);
    if (found != exchanges_.end()) start(*found->second);
  }
  await_deadline();
}

void Client::start(Exchange& exchange) {
  if (credentials_.refresh(clock_())) {
    log::info("kubernetes: certificates changed: new connections");
    if (auto made = renew(); !made) return end(exchange.id(), made);
  }
  const auto started = exchange.start(config_, credentials_, connections_);
  if (!started) end(exchange.id(), started);
}

void Client::finished(Exchange& exchange, int code) {
  if (!exchanges_.contains(exchange.id())) return;  // cancelled: work() takes it away
  const auto how = exchange.outcome(static_cast<CURLcode>(code));
  // Whatever it was, a certificate may be behind it: TLS 1.3 tells late that it is not accepted.
  if (!how) credentials_.doubt();
  log::debug("kubernetes: {}", exchange.summary());
  end(exchange.id(), how);
}

// The exchange is gone before its receiver hears of the end.
void Client::end(Id id, const Result<>& how) {
  const auto found = exchanges_.find(id);
  Receiver* const receiver = found->second->receiver();
  exchanges_.erase(found);
  if (receiver != nullptr) receiver->end(how);
}

void Client::check_deadlines() {
  next_check_ = Time::max();
  const auto now = Clock::now();
  std::vector<Id> late;
  for (const auto& [id, exchange] : exchanges_)
    if (const auto deadline = exchange->deadline(); deadline && *deadline <= now)
      late.push_back(id);
  for (const Id id : late) {
    const auto found = exchanges_.find(id);
    if (found == exchanges_.end()) continue;  // cancelled by the one before
    // What does not answer is not asked again, even if its end of the connection still lives.
    if (found->second->connections() == connections_)
      if (auto made = renew(); !made) log::error("kubernetes: {}", made.error().message());
    end(id, found->second->too_late(now));
  }
  await_deadline();
}

void Client::await_deadline() {
  auto next = Time::max();
  for (const auto& [id, exchange] : exchanges_)
    next = std::min(next, exchange->deadline().value_or(Time::max()));
  if (next >= next_check_) return;  // one that moves on is seen at the next check
  next_check_ = next;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
  if (auto set = loop_.after(deadline_timer_, left, [this] { check_deadlines(); }); !set)
    log::error("kubernetes: {}", set.error().message());
}

}  // namespace weir::kubernetes
