// SPDX-License-Identifier: Apache-2.0
// The body of an answer, piece by piece, as documents: a list whose items are handed out one by
// one, a Status, or the events of a watch. What it keeps is one object, less the fields that weir
// does not read.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "source/kubernetes/text_limit.hpp"
#include "source/kubernetes/wanted.hpp"
#include "source/manifests/tree_builder.hpp"

struct yajl_handle_t;

namespace weir::kubernetes {

using manifests::Value;

class ObjectStream {
 public:
  // Values of one object that weir would read. etcd holds none of more than 1.5 MB.
  static constexpr std::size_t kMostValues = 400'000;

  // The trees last no longer than the call.
  struct Sinks {
    std::function<void(const Value& item)> item;
    // A document that is complete, without its items. False: enough; feed() says no more of it.
    std::function<bool(const Value& root)> document;
  };

  explicit ObjectStream(Sinks sinks);
  ObjectStream(const ObjectStream&) = delete;
  ObjectStream& operator=(const ObjectStream&) = delete;
  ~ObjectStream();

  // An error: the text is no JSON, or beyond the bounds; nothing more can be fed.
  Result<> feed(std::string_view piece);
  // The body has ended: an error if a document has not.
  Result<> finish();

 private:
  struct Callbacks;
  friend struct Callbacks;
  enum class In : std::uint8_t { map, list };
  struct Frame {
    In in = In::map;
    const Wanted* of = nullptr;  // null: the document itself
  };

  [[nodiscard]] std::span<const Wanted> members() const;
  bool scalar(manifests::ValueKind kind, std::string_view text);
  bool key(std::string_view name);
  bool begin(In in);
  bool end();
  bool complete();
  bool count();
  Result<> parse(std::string_view text);
  [[nodiscard]] std::string why() const;

  Sinks sinks_;
  manifests::ItemSink items_;
  manifests::TreeBuilder builder_;
  TextLimit limit_;
  std::unique_ptr<yajl_handle_t, void (*)(yajl_handle_t*)> parser_;
  std::vector<Frame> stack_;      // of what is wanted
  const Wanted* next_ = nullptr;  // the wanted field whose value comes next
  bool skip_next_ = false;        // the value that comes next is not wanted
  std::size_t skipping_ = 0;      // depth within such a value
  std::size_t values_ = 0;        // of this object
  bool stopped_ = false;          // the document's sink had enough
  std::string refused_;           // why the parser was told to stop
};

}  // namespace weir::kubernetes
