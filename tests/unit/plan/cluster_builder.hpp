// SPDX-License-Identifier: Apache-2.0
// Short ways to write a cluster down, and lists as text, so that a failure can be read.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plan/plan.hpp"

namespace weir::test {

inline constexpr auto kThisNode = "node-a";

inline Address ip(std::string_view text) {
  return Address::parse(text).value();
}

inline Service service(
    std::string name,
    std::vector<ServicePort> ports = {
        {.name = "http", .protocol = Protocol::tcp, .port = 80, .node_port = 0}}) {
  Service made;
  made.key = {"default", std::move(name)};
  made.cluster_ips = {ip("10.96.0.1")};
  made.ports = std::move(ports);
  return made;
}

inline ServicePort port(std::string name, std::uint16_t number, Protocol protocol = Protocol::tcp,
                        std::uint16_t node_port = 0) {
  return {.name = std::move(name), .protocol = protocol, .port = number, .node_port = node_port};
}

inline Endpoint endpoint(std::string_view address, std::string node = "node-b") {
  Endpoint made;
  made.address = ip(address);
  made.node = std::move(node);
  return made;
}

inline Endpoint unready(Endpoint made) {
  made.ready = made.serving = false;
  return made;
}

// Shutting down, but still answering.
inline Endpoint terminating(Endpoint made) {
  made.ready = false;
  made.serving = made.terminating = true;
  return made;
}

inline EndpointSlice slice(std::string name, const Service& of, std::vector<Endpoint> endpoints,
                           std::vector<EndpointPort> ports = {
                               {.name = "http", .protocol = Protocol::tcp, .port = 8080}}) {
  EndpointSlice made;
  made.key = {of.key.ns, std::move(name)};
  made.service = of.key.name;
  made.family = endpoints.empty() ? Family::ipv4 : endpoints.front().address.family();
  made.ports = std::move(ports);
  made.endpoints = std::move(endpoints);
  return made;
}

inline ClusterState cluster(std::vector<Service> services, std::vector<EndpointSlice> slices = {}) {
  ClusterState state;
  for (auto& one : services) state.services.emplace(one.key, one);
  for (auto& one : slices) state.slices.emplace(one.key, one);
  return state;
}

inline NodeView node_view() {
  return {.name = kThisNode,
          .addresses = {ip("192.0.2.1"), ip("192.0.2.2"), ip("fd00::1")},
          .node_port_addresses = {ip("192.0.2.1"), ip("fd00::1")}};
}

inline std::vector<std::string> texts(const std::vector<BackendIdentity>& list) {
  std::vector<std::string> made;
  for (const auto& backend : list) made.push_back(endpoint_text(backend.address, backend.port));
  return made;
}

inline std::vector<std::string> backend_texts(const WantedService& of) {
  std::vector<std::string> made;
  for (const auto& [backend, wanted] : of.backends)
    made.push_back(endpoint_text(backend.address, backend.port) +
                   (wanted.terminating ? " terminating" : " active") +
                   (wanted.local ? " local" : ""));
  return made;
}

inline const WantedService& only(const WantedTables& tables) {
  return tables.services.size() == 1 ? tables.services.begin()->second
                                     : throw std::runtime_error{"not one service"};
}

using Texts = std::vector<std::string>;

}  // namespace weir::test
