// SPDX-License-Identifier: Apache-2.0
// One reader a kind: a field tree in, an object out, problems into the tree's report.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "source/manifests/field.hpp"
#include "source/manifests/manifests.hpp"
#include "source/manifests/object.hpp"

namespace weir::manifests {

inline constexpr std::array<Choice<Protocol>, 3> kProtocols{
    {{"TCP", Protocol::tcp}, {"UDP", Protocol::udp}, {"SCTP", Protocol::sctp}}};

// Of an EndpointSlice by the API's rule. Of a Service, that is what an object has room for there.
inline constexpr std::size_t kMostPorts = 20'000;

ServiceManifest read_service(const Field& root, const Options& options);
SliceManifest read_slice(const Field& root, const ObjectKey& key);
PodManifest read_pod(const Field& root);
Node read_node(const Field& root);

// A labelled object is for another proxy: SEMANTICS of `service.kubernetes.io/service-proxy-name`.
bool is_for_another_proxy(const Labels& labels);
// DNS-1123: of letters, digits, '-', and '.' where `dots`.
bool is_dns_name(std::string_view text, std::size_t longest, bool dots);
// Reports if the present text is no DNS label of at most 63 characters. Empty is allowed.
std::string read_port_name(const Field& field);

// What became of one object of a document.
struct Outcome {
  ObjectPtr object;          // good, or null
  std::optional<Kind> kind;  // as far as the broken one could be identified
  std::optional<ObjectKey> key;
  std::vector<Problem> problems;  // why it is broken
  std::string skipped;            // or: it is of a kind that weir does not read
  unsigned line = 0;
};

// Every object of a document: one, or those of a List, in the order of the document. What is in a
// root's "items" may come before the root, which says whether it is a List.
class DocumentReader {
 public:
  using Sink = std::function<void(unsigned document, Outcome)>;
  DocumentReader(std::shared_ptr<const std::string> file, const Options& options, Sink sink)
      : file_{std::move(file)}, options_{options}, sink_{std::move(sink)} {}

  void item(unsigned document, std::size_t index, const Value& value);
  void document(unsigned document, const Value& root);

 private:
  std::shared_ptr<const std::string> file_;
  const Options& options_;
  Sink sink_;
  std::vector<Outcome> items_;  // of a document that may be a List
};

}  // namespace weir::manifests
