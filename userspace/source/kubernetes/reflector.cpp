// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/reflector.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/log.hpp"

namespace weir::kubernetes {
namespace {

// RFC 3986: what is not unreserved. A continue token is the server's own affair.
std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

std::string_view to_string(WatchState state) {
  switch (state) {
    case WatchState::not_started:
      return "not started";
    case WatchState::listing:
      return "listing";
    case WatchState::watching:
      return "watching";
    case WatchState::retrying:
      return "retrying";
  }
  return "?";
}

Reflector::Reflector(What what, EventLoop& loop, Transport& transport, Mirror& mirror,
                     std::function<void()> changed, const manifests::Options& options)
    : what_{std::move(what)},
      loop_{loop},
      transport_{transport},
      mirror_{mirror},
      changed_{std::move(changed)},
      options_{options},
      backoff_{pace_.backoff},
      retry_{loop.new_timer()},
      initial_{loop.new_timer()} {}

Reflector::~Reflector() {
  drop();
  loop_.disarm(retry_);
}

void Reflector::set_pace(const Pace& pace) {
  pace_ = pace;
  backoff_ = Backoff{pace.backoff};
}

void Reflector::start() {
  list_anew();
}

void Reflector::enter(WatchState state) {
  if (status_.state == state) return;
  if (state == WatchState::watching && !status_.error.empty()) {
    log::info("{}: the API answers again", to_string(what_.resource));
    status_.error.clear();
  }
  status_.state = state;
  status_.since = std::chrono::system_clock::now();
  if (observer_ != nullptr) observer_->entered(what_.resource, state);
}

void Reflector::drop() {
  if (request_) transport_.cancel(*request_);
  request_.reset();
  loop_.disarm(initial_);
}

void Reflector::ask(Asked what, std::string query) {
  drop();
  if (!what_.selector.empty()) query += "&" + what_.selector;
  Request request;
  request.target = fmt::format("{}?{}", what_.path, query);
  request.whole = std::chrono::minutes{10};
  if (what != Asked::list) {
    std::uniform_int_distribution<std::int64_t> between{pace_.shortest_watch.count(),
                                                        pace_.longest_watch.count()};
    const auto seconds = between(random_);
    request.target += fmt::format("&timeoutSeconds={}", seconds);
    // The server ends it; a while later nobody does.
    request.whole = std::chrono::seconds{seconds + 30};
    request.silence = request.whole;
  }
  asked_ = what;
  head_ = {};
  verdict_ = Verdict::go_on;
  refusal_.reset();
  list_read_ = false;
  events_before_ = status_.events;
  asked_at_ = std::chrono::steady_clock::now();
  stream_ = std::make_unique<ObjectStream>(
      ObjectStream::Sinks{.item = [this](const Value& item) { take_item(item); },
                          .document = [this](const Value& root) { return take_document(root); }});
  request_ = transport_.send(std::move(request), *this);
}

// All there is, no older than what is known: nothing is taken back that was in force.
void Reflector::list_anew() {
  if (by_stream_ && !std::exchange(list_instead_, false)) return stream_list();
  // At first the server's cache is good enough; it has its pages from the storage behind only.
  if (version_.empty() && !status_.synced) return list("0", true);
  list(version_, version_.empty());
}

void Reflector::stream_list() {
  enter(WatchState::listing);
  mirror_.begin_list(what_.resource);
  std::string query =
      "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
      "&allowWatchBookmarks=true";
  if (!version_.empty()) query += "&resourceVersion=" + encoded(version_);
  list_version_ = version_;
  ask(Asked::stream_list, std::move(query));
  limit_silence();
}

// A server that does not know this kind of watch might take it for one of the other kind.
void Reflector::limit_silence() {
  bytes_before_ = status_.bytes;
  auto armed = loop_.after(initial_, pace_.initial_events, [this] {
    if (status_.bytes != bytes_before_) return limit_silence();
    drop();
    by_stream_ = false;
    list_anew();
  });
  if (!armed) log::error("{}", armed.error().message());
}

void Reflector::list(std::string version, bool pages) {
  enter(WatchState::listing);
  mirror_.begin_list(what_.resource);
  list_version_ = std::move(version);
  paged_ = false;
  std::string query = "resourceVersion=" + encoded(list_version_);
  if (pages) query += fmt::format("&limit={}", pace_.page);
  ask(Asked::list, std::move(query));
}

// A token says everything about the list that it continues: no version beside it.
void Reflector::next_page(const std::string& continuation) {
  paged_ = true;
  ask(Asked::list, fmt::format("limit={}&continue={}", pace_.page, encoded(continuation)));
}

void Reflector::watch() {
  ask(Asked::watch, "watch=1&allowWatchBookmarks=true&resourceVersion=" + encoded(version_));
  ++status_.watches;
}

void Reflector::fail_with(WatchEnd kind, std::string why,
                          std::optional<std::chrono::seconds> at_least) {
  if (observer_ != nullptr) observer_->restarted(what_.resource, kind);
  drop();
  mirror_.drop_list(what_.resource);
  ++status_.failures;
  auto delay = backoff_.failed(Backoff::Clock::now());
  if (at_least) delay = std::max<std::chrono::milliseconds>(delay, *at_least);
  if (why != status_.error)
    log::warning("{}: {}; asked again in {:.1f} s", to_string(what_.resource), why,
                 std::chrono::duration<double>{delay}.count());
  status_.error = std::move(why);
  enter(WatchState::retrying);
  if (auto armed = loop_.after(retry_, delay, [this] { again(); }); !armed)
    log::error("{}", armed.error().message());
}

// What was tried last, or what the answer said had better be tried.
void Reflector::again() {
  if (verdict_ == Verdict::list_again || asked_ != Asked::watch) return list_anew();
  watch();
}

}  // namespace weir::kubernetes
