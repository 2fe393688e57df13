// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/object_stream.hpp"

#include <yajl/yajl_parse.h>

#include <utility>

namespace weir::kubernetes {
namespace {

using manifests::ValueKind;

// The parser takes a bit for each level. Nobody nests that deep, wanted or not.
constexpr std::size_t kMostDepth = 128;

const unsigned char* bytes(std::string_view text) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the same bytes under another sign
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string_view text_of(const unsigned char* text, std::size_t length) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): as above
  return {reinterpret_cast<const char*>(text), length};
}

}  // namespace

struct ObjectStream::Callbacks {
  static ObjectStream& of(void* context) { return *static_cast<ObjectStream*>(context); }

  static int null(void* c) { return of(c).scalar(ValueKind::null, "null"); }
  static int boolean(void* c, int value) {
    return of(c).scalar(ValueKind::boolean, value != 0 ? "true" : "false");
  }
  static int number(void* c, const char* text, std::size_t length) {
    return of(c).scalar(ValueKind::number, {text, length});
  }
  static int string(void* c, const unsigned char* text, std::size_t length) {
    return of(c).scalar(ValueKind::text, text_of(text, length));
  }
  static int map_key(void* c, const unsigned char* text, std::size_t length) {
    return of(c).key(text_of(text, length));
  }
  static int start_map(void* c) { return of(c).begin(In::map); }
  static int start_array(void* c) { return of(c).begin(In::list); }
  static int end(void* c) { return of(c).end(); }

  static constexpr yajl_callbacks kAll{null,      boolean, nullptr, nullptr,     number, string,
                                       start_map, map_key, end,     start_array, end};
};

ObjectStream::ObjectStream(Sinks sinks)
    : sinks_{std::move(sinks)},
      items_{[this](unsigned, std::size_t, const Value& item) {
        values_ = 0;
        if (sinks_.item) sinks_.item(item);
      }},
      builder_{items_},
      parser_{yajl_alloc(&Callbacks::kAll, nullptr, this), yajl_free} {
  yajl_config(parser_.get(), yajl_allow_multiple_values, 1);
}

ObjectStream::~ObjectStream() = default;

Result<> ObjectStream::feed(std::string_view piece) {
  while (!piece.empty() && !stopped_) {
    const auto step = limit_.step(piece);
    if (step.refused) return fail("not JSON: a number that is too long");
    if (auto done = parse(step.parsed); !done) return done;
    piece.remove_prefix(step.taken);
  }
  return {};
}

Result<> ObjectStream::parse(std::string_view text) {
  if (text.empty()) return {};
  const auto status = yajl_parse(parser_.get(), bytes(text), text.size());
  if (status == yajl_status_ok || stopped_) return {};
  return fail("not the JSON of the API: {}", why());
}

Result<> ObjectStream::finish() {
  if (stopped_) return {};
  if (!stack_.empty() || skipping_ > 0) return fail("the answer ends in the middle of an object");
  return {};
}

std::string ObjectStream::why() const {
  if (!refused_.empty()) return refused_;
  if (!builder_.error().empty()) return builder_.error();
  auto* const text = yajl_get_error(parser_.get(), 0, nullptr, 0);
  std::string reason = manifests::printable(text_of(text, std::char_traits<char>::length(
                                                              // NOLINTNEXTLINE(*-reinterpret-cast)
                                                              reinterpret_cast<char*>(text))));
  yajl_free_error(parser_.get(), text);
  while (!reason.empty() && (reason.back() == '\n' || reason.back() == ' ')) reason.pop_back();
  return reason;
}

// What of the map or list on top of the stack is wanted; empty: all.
std::span<const Wanted> ObjectStream::members() const {
  if (stack_.empty() || stack_.back().of == nullptr) return wanted_fields();
  return stack_.back().of->members;
}

bool ObjectStream::count() {
  if (++values_ <= kMostValues) return true;
  refused_ = "an object of more values than any that the API stores";
  return false;
}

bool ObjectStream::scalar(ValueKind kind, std::string_view text) {
  if (skipping_ > 0) return true;
  if (std::exchange(skip_next_, false)) return true;
  if (stack_.empty()) {
    refused_ = "expected a map";
    return false;
  }
  return count() && builder_.scalar(kind, text, 0);
}

bool ObjectStream::key(std::string_view name) {
  if (skipping_ > 0) return true;
  const auto among = members();
  const Frame& top = stack_.back();
  const bool all = top.of != nullptr && top.of->all();
  next_ = all ? top.of : find(among, name);
  skip_next_ = next_ == nullptr;
  return skip_next_ || builder_.scalar(ValueKind::text, name, 0);
}

bool ObjectStream::begin(In in) {
  if (stack_.size() + skipping_ >= kMostDepth) {
    refused_ = "nested too deep";
    return false;
  }
  if (skipping_ > 0 || std::exchange(skip_next_, false)) {
    ++skipping_;
    return true;
  }
  const Wanted* of = nullptr;
  if (!stack_.empty()) of = stack_.back().in == In::map ? next_ : stack_.back().of;
  if (stack_.empty() && in != In::map) {
    refused_ = "expected a map";
    return false;
  }
  if (stack_.empty()) builder_.begin_document(1);
  stack_.push_back({.in = in, .of = of});
  return count() && builder_.begin(in == In::map ? ValueKind::map : ValueKind::list, 0);
}

bool ObjectStream::end() {
  if (skipping_ > 0) {
    --skipping_;
    return true;
  }
  stack_.pop_back();
  return builder_.end() && (!stack_.empty() || complete());
}

bool ObjectStream::complete() {
  values_ = 0;
  stopped_ = sinks_.document && !sinks_.document(builder_.root());
  builder_.end_document();
  return !stopped_;
}

}  // namespace weir::kubernetes
