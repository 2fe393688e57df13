// SPDX-License-Identifier: Apache-2.0
#include "agent/notices.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <map>
#include <string_view>
#include <utility>

namespace weir::agent {
namespace {

using kubernetes::Notice;
using Key = std::pair<std::string, std::string>;  // namespace, name

// "default/web:http"
Key service_of(const ServiceIdentity& identity) {
  const std::string_view text = identity.text;
  const auto slash = text.find('/');
  const auto colon = text.find(':', slash);
  return {std::string{text.substr(0, slash)},
          std::string{text.substr(slash + 1, colon == text.npos ? text.npos : colon - slash - 1)}};
}

Notice about(const Key& service, std::string reason, std::string note) {
  return {.object = Notice::Object::service,
          .ns = service.first,
          .name = service.second,
          .uid = {},
          .reason = std::move(reason),
          .note = std::move(note)};
}

}  // namespace

std::string text_of(const FrontendConflict& conflict) {
  return fmt::format("{} belongs to {} already",
                     endpoint_text(Address{conflict.key.addr}, ntohs(conflict.key.port)),
                     conflict.kept.to_string());
}

std::vector<Notice> notices(const std::vector<FrontendConflict>& conflicts,
                            const std::vector<Refused>& refused, const std::string& node) {
  std::map<Key, Notice> by_service;
  for (const auto& one : conflicts) {
    const auto key = service_of(one.lost);
    by_service.try_emplace(key, about(key, "AddressInUse", text_of(one)));
  }
  for (const auto& one : refused) {
    const auto key = service_of(one.service);
    by_service.insert_or_assign(key, about(key, "NotProgrammed", one.reason));
  }
  std::vector<Notice> all;
  all.reserve(by_service.size() + 1);
  if (!refused.empty())
    all.push_back(
        {.object = Notice::Object::node,
         .ns = {},
         .name = node,
         .uid = {},
         .reason = "NoRoomForServices",
         .note = fmt::format("service ports that are not programmed: {}; the first is {}: {}",
                             refused.size(), refused.front().service.to_string(),
                             refused.front().reason)});
  for (auto& [key, notice] : by_service) all.push_back(std::move(notice));
  return all;
}

std::vector<Notice> notices(const std::map<ObjectKey, std::string>& unopened) {
  std::vector<Notice> all;
  all.reserve(unopened.size());
  for (const auto& [key, why] : unopened)
    all.push_back(about({key.ns, key.name}, "FailedToStartServiceHealthcheck", why));
  return all;
}

}  // namespace weir::agent
