// SPDX-License-Identifier: Apache-2.0
// What a reflector makes of answers.
#include <fmt/format.h>

#include <utility>

#include "base/log.hpp"
#include "source/kubernetes/reflector.hpp"

namespace weir::kubernetes {
namespace {

using namespace std::chrono_literals;

constexpr int kOk = 200;
constexpr int kBadRequest = 400;
constexpr int kGone = 410;
constexpr int kTooManyRequests = 429;
constexpr int kGatewayTimeout = 504;
constexpr int kServerErrors = 500;

// A watch that fails so often in a row is given up for a list.
constexpr unsigned kMostBroken = 5;

// Of an answer that broke off: by the connection, by silence, or by what it said.
WatchEnd kind_of(const Error& error, bool read) {
  if (read) return WatchEnd::content;
  return error.code() == std::errc::timed_out ? WatchEnd::silent : WatchEnd::connection;
}

WatchEnd kind_of(int status) {
  if (status == kGone) return WatchEnd::expired;
  return status == kTooManyRequests ? WatchEnd::throttled : WatchEnd::status;
}

std::string_view type_of(const Value& event) {
  const auto* const type = event.find("type");
  return type != nullptr ? type->scalar : std::string_view{};
}

}  // namespace

void Reflector::head(const Head& head) {
  head_ = head;
  if (head.status != kOk) return;
  status_.heard = std::chrono::system_clock::now();
  if (asked_ == Asked::watch) enter(WatchState::watching);
}

bool Reflector::body(std::string_view piece) {
  status_.bytes += piece.size();
  if (head_.status == kOk) {
    status_.heard = std::chrono::system_clock::now();
    if (observer_ != nullptr) observer_->heard(what_.resource, piece.size());
  }
  const auto fed = stream_->feed(piece);
  const bool refused = head_.status != kOk;
  if (fed && verdict_ == Verdict::go_on) return true;
  // A refusal need not be JSON: its number says enough.
  if (refused) return true;
  request_.reset();
  unreadable_ = !fed;
  settle(fed);
  return false;
}

void Reflector::end(const Result<>& how) {
  request_.reset();
  Result<> all = how;
  if (all && head_.status == kOk) all = stream_->finish();
  unreadable_ = how && !all;
  settle(all);
}

void Reflector::take_item(const Value& item) {
  if (asked_ != Asked::list || head_.status != kOk) return;
  if (auto object = read_object(what_.resource, item, options_))
    mirror_.list(what_.resource, std::move(*object));
}

bool Reflector::take_document(const Value& root) {
  if (head_.status != kOk) {
    refusal_ = read_status(root);
    return false;
  }
  if (asked_ == Asked::list) {
    list_ = read_metadata(root);
    list_read_ = true;
    return false;
  }
  return take_event(root);
}

bool Reflector::take_event(const Value& event) {
  const auto type = type_of(event);
  const auto* const object = event.find("object");
  if (object == nullptr) {
    log::debug("{}: an event without an object", to_string(what_.resource));
    return true;
  }
  if (type == "ERROR") return take_error(*object);
  ++status_.events;
  broken_ = 0;
  expired_ = false;
  if (type == "BOOKMARK") return take_bookmark(*object);
  const bool deleted = type == "DELETED";
  if (deleted || type == "ADDED" || type == "MODIFIED")
    take_object(*object, deleted);
  else
    log::debug("{}: an event of the unknown type {}", to_string(what_.resource),
               manifests::printable(type, 40));
  return true;
}

bool Reflector::take_error(const Value& object) {
  refusal_ = read_status(object);
  verdict_ = Verdict::later;
  if (refusal_->code == kGone || refusal_->too_large) verdict_ = Verdict::list_again;
  return false;
}

void Reflector::take_object(const Value& value, bool deleted) {
  auto object = read_object(what_.resource, value, options_);
  if (!object) return;
  if (asked_ == Asked::stream_list) {
    // What is told of before the end of the list is unordered: their versions say nothing.
    if (!deleted) mirror_.list(what_.resource, std::move(*object));
    return;
  }
  if (auto metadata = read_metadata(value); !metadata.version.empty())
    version_ = std::move(metadata.version);
  if (deleted)
    mirror_.remove(what_.resource, object->key);
  else
    mirror_.put(what_.resource, std::move(*object));
  if (mirror_.changed()) changed_();
}

bool Reflector::take_bookmark(const Value& object) {
  auto metadata = read_metadata(object);
  if (asked_ == Asked::watch) {
    if (!metadata.version.empty()) version_ = std::move(metadata.version);
    return true;
  }
  if (!metadata.initial_end) return true;
  list_ = std::move(metadata);
  list_complete();
  // The same stream goes on as a watch.
  loop_.disarm(initial_);
  asked_ = Asked::watch;
  ++status_.watches;
  enter(WatchState::watching);
  return true;
}

void Reflector::list_complete() {
  version_ = list_.version;
  mirror_.end_list(what_.resource);
  ++status_.lists;
  if (observer_ != nullptr) observer_->listed(what_.resource);
  broken_ = 0;
  const bool first = !std::exchange(status_.synced, true);
  if (first || mirror_.changed()) changed_();
}

// The answer is over: it ended, or nothing more of it is wanted.
void Reflector::settle(const Result<>& how) {
  loop_.disarm(initial_);
  if (head_.status != 0 && head_.status != kOk) return settle_refusal();
  if (asked_ == Asked::list) return settle_list(how);
  settle_watch(how);
}

void Reflector::settle_list(const Result<>& how) {
  if (!how) return fail_with(kind_of(how.error(), unreadable_), how.error().message());
  if (!list_read_) return fail_with(WatchEnd::content, "a list that is empty text");
  if (!list_.continuation.empty()) return next_page(std::string{list_.continuation});
  list_complete();
  watch();
}

void Reflector::settle_watch(const Result<>& how) {
  const auto lived = std::chrono::steady_clock::now() - asked_at_;
  const bool silent = status_.events == events_before_;
  // Whatever went wrong with this kind of list, the plain one is there.
  if (asked_ == Asked::stream_list && head_.status == kOk) list_instead_ = true;
  if (refusal_) {
    if (refusal_->too_large) version_.clear();
    if (lived >= 1s) expired_ = false;
    if (verdict_ == Verdict::list_again && list_at_once(refusal_->message)) return;
    return fail_with(kind_of(refusal_->code), fmt::format("watch: {}", refusal_->message),
                     refusal_->retry_after);
  }
  if (how && asked_ == Asked::watch && !(silent && lived < 1s)) {
    if (observer_ != nullptr) observer_->restarted(what_.resource, WatchEnd::ended);
    return watch();
  }
  if (head_.status == kOk && silent) give_up_when_broken();
  if (how) return fail_with(WatchEnd::ended, "watch: it ended at once");
  fail_with(kind_of(how.error(), unreadable_), how.error().message());
}

// A server that was away has forgotten the version: this is no failure, and must not wait as long
// as those before it. If the next watch ends so at once, it is one.
bool Reflector::list_at_once(const std::string& why) {
  if (std::exchange(expired_, true)) return false;
  if (observer_ != nullptr) observer_->restarted(what_.resource, WatchEnd::expired);
  log::info("{}: watch: {}; listed again", to_string(what_.resource), why);
  list_anew();
  return true;
}

void Reflector::give_up_when_broken() {
  if (++broken_ < kMostBroken) return;
  verdict_ = Verdict::list_again;
  broken_ = 0;
}

// A status that is no success, whatever was asked.
void Reflector::settle_refusal() {
  const Status status = refusal_.value_or(Status{});
  const bool behind = head_.status == kGatewayTimeout && status.too_large;
  const auto wait = head_.retry_after ? head_.retry_after : status.retry_after;
  auto text = fmt::format("{}: status {}{}{}", asked_ == Asked::list ? "list" : "watch",
                          head_.status, status.message.empty() ? "" : ": ", status.message);
  const bool unknown = head_.status >= kBadRequest && head_.status < kServerErrors &&
                       head_.status != kTooManyRequests && head_.status != 401 &&
                       head_.status != 403 && head_.status != kGone;
  if (asked_ == Asked::stream_list && unknown) {
    by_stream_ = false;
    return list_anew();
  }
  if (head_.status == kGone || behind) {
    // The whole list at the version asked for; if even that is gone, the newest, whatever it costs.
    if (asked_ == Asked::list && paged_) return list(list_version_, false);
    if (asked_ == Asked::list && !list_version_.empty()) {
      version_.clear();
      return list("", true);
    }
    if (asked_ == Asked::watch && !behind && list_at_once(status.message)) return;
    verdict_ = Verdict::list_again;
    if (asked_ == Asked::stream_list || behind) version_.clear();
    return fail_with(kind_of(head_.status), std::move(text), wait);
  }
  if (asked_ == Asked::watch && head_.status != kTooManyRequests) give_up_when_broken();
  fail_with(kind_of(head_.status), std::move(text), wait);
}

}  // namespace weir::kubernetes
