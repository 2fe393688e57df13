// SPDX-License-Identifier: Apache-2.0
// The ABI's small integers as the words that people and programs read.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>

#include "base/abi.hpp"

namespace weir::cli {

std::string protocol_text(std::uint8_t protocol);             // "TCP", or the number
std::string family_text(std::uint8_t family);                 // 4 is "IPv4"
std::string type_text(std::uint8_t type);                     // "ClusterIP"
std::string frontend_text(std::uint8_t frontend);             // "ClusterIP"
std::string backend_state_text(std::uint8_t state);           // "active"
std::string policy_text(bool local);                          // "Local", "Cluster"
std::string name_text(const weir_name& name);                 // "default/web:http"
std::string address_text(const weir_addr& address);           // "10.0.0.1", "fd00::1"
std::string end_text(const weir_addr& address, __be16 port);  // "10.0.0.1:80", "[fd00::1]:80"
std::string mac_text(const __u8 (&mac)[6]);                   // "02:00:00:00:00:01"
std::string source_kind_text(std::uint32_t kind);             // "kubernetes"
std::string source_resource_text(std::uint32_t resource);     // "services"
std::string source_state_text(std::uint32_t state);           // "watching"
// The device's name, or "if7" once it is gone; empty for 0.
std::string device_text(std::uint32_t ifindex);

}  // namespace weir::cli
