// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "source/manifests/readers.hpp"

namespace weir::manifests {
namespace {

struct KnownKind {
  std::string_view name;
  std::string_view group;    // "" is the core group
  std::string_view version;  // as apiVersion has it
  Kind kind;
};
constexpr std::array<KnownKind, 4> kKinds{{
    {"Service", "", "v1", Kind::service},
    {"EndpointSlice", "discovery.k8s.io", "discovery.k8s.io/v1", Kind::endpoint_slice},
    {"Pod", "", "v1", Kind::pod},
    {"Node", "", "v1", Kind::node},
}};

class ObjectReader {
 public:
  ObjectReader(const Place& place, const Options& options, const std::function<void(Outcome)>& sink)
      : place_{place}, options_{options}, sink_{sink} {}

  void read(const Field& root, Report& report) {
    Outcome outcome;
    outcome.line = root.line();
    const Field map = root.map();
    if (!map.present()) return finish(std::move(outcome), report);
    const std::string kind = map["kind"].text();
    const std::string version = map["apiVersion"].text();
    if (kind.empty()) map["kind"].expected("a kind, such as Service");
    if (version.empty() && !kind.empty()) map["apiVersion"].expected("an API version, such as v1");
    if (is_list(kind, version)) return read_list(map, report);
    const auto slash = version.find('/');
    const auto group = slash == std::string::npos ? "" : version.substr(0, slash);
    const auto known = std::find_if(kKinds.begin(), kKinds.end(), [&](const KnownKind& k) {
      return k.name == kind && (version.empty() || k.group == group);
    });
    if (known == kKinds.end()) {
      if (!kind.empty() && !version.empty())
        outcome.skipped = fmt::format("kind {} of {}", printable(kind, 80), printable(version, 80));
      return finish(std::move(outcome), report);
    }
    if (!version.empty() && version != known->version) map["apiVersion"].expected(known->version);
    read_object(map, *known, std::move(outcome), report);
  }

  static bool is_list(std::string_view kind, std::string_view version) {
    return kind == "List" && version == "v1";
  }

  // One of a List's items.
  void read_item(const Field& item, Report& report) {
    if (!item.present()) item.expected("an object");
    read(item, report);
  }

 private:
  void finish(Outcome outcome, Report& report) {
    outcome.problems = report.take();
    if (!outcome.problems.empty()) outcome.object = nullptr;
    if (outcome.object || !outcome.problems.empty() || !outcome.skipped.empty())
      sink_(std::move(outcome));
  }

  // The depth of the tree bounds that of Lists in Lists.
  void read_list(const Field& map, Report& report) {
    const Field items = map["items"].list();
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Field item = items.item(i);
      read_item(item, report);
    }
    Outcome outcome;
    outcome.line = map.line();
    finish(std::move(outcome), report);
  }

  void read_object(const Field& root, const KnownKind& known, Outcome outcome, Report& report) {
    const Field metadata = root["metadata"].map();
    outcome.kind = known.kind;
    if (metadata.present() || !root["metadata"].present())
      outcome.key = read_key(metadata, known.kind);
    auto object = std::make_shared<Object>();
    object->place = place_;
    object->place.line = root.line();
    object->name_line = metadata["name"].line();
    if (outcome.key) object->key = *outcome.key;
    switch (known.kind) {
      case Kind::service:
        object->body = read_service(root, options_);
        break;
      case Kind::endpoint_slice:
        object->body = read_slice(root, object->key);
        break;
      case Kind::pod:
        object->body = read_pod(root);
        break;
      case Kind::node:
        object->body = read_node(root);
        break;
    }
    name_body(*object);
    outcome.object = std::move(object);
    finish(std::move(outcome), report);
  }

  static std::optional<ObjectKey> read_key(const Field& metadata, Kind kind) {
    const std::string name = metadata["name"].text();
    const bool named = is_dns_name(name, 253, true);
    if (!named &&
        (!metadata["name"].present() || metadata["name"].value()->kind == ValueKind::text))
      metadata["name"].expected("a name of lower case letters, digits, '-' and '.'");
    if (kind == Kind::node)
      return named ? std::optional<ObjectKey>{ObjectKey{"", name}} : std::nullopt;
    std::string ns = metadata["namespace"].text("default");
    if (ns.empty()) ns = "default";
    const bool text =
        !metadata["namespace"].present() || metadata["namespace"].value()->kind == ValueKind::text;
    if (!is_dns_name(ns, 63, false))
      metadata["namespace"].expected("a namespace of lower case letters, digits and '-'");
    else if (named && text)
      return ObjectKey{std::move(ns), name};
    return std::nullopt;
  }

  static void name_body(Object& object) {
    if (auto* service = std::get_if<ServiceManifest>(&object.body))
      service->service.key = object.key;
    if (auto* node = std::get_if<Node>(&object.body)) node->name = object.key.name;
  }

  const Place& place_;
  const Options& options_;
  const std::function<void(Outcome)>& sink_;
};

}  // namespace

std::string_view to_string(Kind kind) {
  return kKinds[static_cast<std::size_t>(kind)].name;
}

bool is_for_another_proxy(const Labels& labels) {
  return labels.contains("service.kubernetes.io/headless") ||
         labels.contains("service.kubernetes.io/service-proxy-name");
}

bool is_dns_name(std::string_view text, std::size_t longest, bool dots) {
  if (text.empty() || text.size() > longest) return false;
  char before = '.';
  for (const char c : text) {
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool inner = c == '-' || (dots && c == '.');
    if (!alnum && !inner) return false;
    // A label neither starts nor ends with '-', and is not empty.
    if (c == '-' && before == '.') return false;
    if (c == '.' && (before == '.' || before == '-')) return false;
    before = c;
  }
  return before != '-' && before != '.';
}

std::string read_port_name(const Field& field) {
  std::string name = field.text();
  if (!name.empty() && !is_dns_name(name, 63, false))
    field.expected("a name of at most 63 lower case letters, digits and '-'");
  return name;
}

void DocumentReader::item(unsigned document, std::size_t index, const Value& value) {
  const Place place{file_, document, value.line};
  const Value root;
  Report report;
  const Field list = Field{root, report};
  const Field items = list["items"];
  const Field field = items.item(index, value);
  ObjectReader{place, options_, [this](Outcome outcome) { items_.push_back(std::move(outcome)); }}
      .read_item(field, report);
}

void DocumentReader::document(unsigned document, const Value& root) {
  std::vector<Outcome> items = std::exchange(items_, {});
  if (root.kind == ValueKind::null) return;  // an empty document between two "---"
  const auto text = [&root](std::string_view name) {
    const Value* member = root.find(name);
    return member != nullptr && member->kind == ValueKind::text ? member->scalar
                                                                : std::string_view{};
  };
  if (ObjectReader::is_list(text("kind"), text("apiVersion")))
    for (auto& outcome : items) sink_(document, std::move(outcome));
  const Place place{file_, document, root.line};
  Report report;
  ObjectReader{place, options_, [&](Outcome outcome) { sink_(document, std::move(outcome)); }}.read(
      Field{root, report}, report);
}

}  // namespace weir::manifests
