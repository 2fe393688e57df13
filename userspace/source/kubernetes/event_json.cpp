// SPDX-License-Identifier: Apache-2.0
#include <fmt/chrono.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "source/kubernetes/events.hpp"

namespace weir::kubernetes {
namespace {

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

// Bounds of the API's validation, in bytes.
constexpr std::size_t kMaxWord = 128;
constexpr std::size_t kMaxNote = 1'024;
constexpr std::size_t kMaxName = 253;

// Not in the middle of a character of UTF-8.
std::string_view cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (text[limit] & 0xc0) == 0x80) --limit;
  return text.substr(0, limit);
}

void put(Writer& writer, std::string_view name, std::string_view value) {
  writer.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  writer.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
}

std::string micro_time(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch());
  const auto second = std::chrono::floor<std::chrono::seconds>(since);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(second.count()),
                     (since - second).count());
}

// The object's name and the time in nanoseconds, as the API's own recorder does it.
std::string event_name(const Notice& notice, std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::nanoseconds{time.time_since_epoch()};
  const std::string tail = fmt::format(".{:x}", since.count());
  std::string_view name = cut(notice.name, kMaxName - tail.size());
  while (name.ends_with('.') || name.ends_with('-')) name.remove_suffix(1);
  return std::string{name} + tail;
}

void put_metadata(Writer& writer, const Notice& notice,
                  std::chrono::system_clock::time_point time) {
  writer.Key("metadata");
  writer.StartObject();
  put(writer, "name", event_name(notice, time));
  put(writer, "namespace", notice.ns.empty() ? "default" : notice.ns);
  writer.EndObject();
}

void put_regarding(Writer& writer, const Notice& notice) {
  const bool node = notice.object == Notice::Object::node;
  writer.Key("regarding");
  writer.StartObject();
  put(writer, "apiVersion", "v1");
  put(writer, "kind", node ? "Node" : "Service");
  if (!notice.ns.empty()) put(writer, "namespace", notice.ns);
  put(writer, "name", notice.name);
  // kubelet and kube-proxy give a node's name for its UID, and kubectl looks for that too.
  const std::string& uid = notice.uid.empty() && node ? notice.name : notice.uid;
  if (!uid.empty()) put(writer, "uid", uid);
  writer.EndObject();
}

}  // namespace

std::string event_json(const Notice& notice, const std::string& node,
                       std::chrono::system_clock::time_point time) {
  rapidjson::StringBuffer text;
  Writer writer{text};
  writer.StartObject();
  put(writer, "apiVersion", "events.k8s.io/v1");
  put(writer, "kind", "Event");
  put_metadata(writer, notice, time);
  put(writer, "eventTime", micro_time(time));
  put(writer, "reportingController", "weir");
  put(writer, "reportingInstance", cut(node, kMaxWord));
  put(writer, "action", cut(notice.action, kMaxWord));
  put(writer, "reason", cut(notice.reason, kMaxWord));
  put(writer, "type", notice.type == Notice::Type::warning ? "Warning" : "Normal");
  put_regarding(writer, notice);
  put(writer, "note", cut(notice.note, kMaxNote));
  writer.EndObject();
  return {text.GetString(), text.GetSize()};
}

}  // namespace weir::kubernetes
