// SPDX-License-Identifier: Apache-2.0
// A thin layer over libmnl: one owner type, errors as values, dumps that are retried.
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>

#include "base/result.hpp"

namespace weir::node {

// A request being built: header, family header, attributes.
class NetlinkRequest {
 public:
  // `flags` are NLM_F_*; NLM_F_REQUEST is always set.
  NetlinkRequest(std::uint16_t type, std::uint16_t flags);

  template <class Header>
  Header& header() {
    return *static_cast<Header*>(mnl_nlmsg_put_extra_header(message(), sizeof(Header)));
  }
  nlmsghdr* message() { return reinterpret_cast<nlmsghdr*>(buffer_.data()); }

 private:
  alignas(nlmsghdr) std::array<unsigned char, 512> buffer_{};
};

class NetlinkSocket {
 public:
  // `bus` is NETLINK_ROUTE or NETLINK_GENERIC.
  static Result<NetlinkSocket> open(int bus, bool nonblocking = false);

  Result<> join(std::span<const unsigned> groups);  // RTNLGRP_*
  Result<> set_option(int option, int value);       // NETLINK_*
  void grow_receive_buffer(int bytes);              // best effort

  [[nodiscard]] int fd() const { return mnl_socket_get_fd(socket_.get()); }

  using Visit = std::function<void(const nlmsghdr&)>;
  // Sends the request and visits every answer. A dump that the kernel calls inconsistent
  // (NLM_F_DUMP_INTR) starts over: `restart` is called before each start.
  Result<> request(NetlinkRequest& request, const std::function<void()>& restart,
                   const Visit& visit);

  // Of a non-blocking socket: visits what is queued. True if some was lost on the way (ENOBUFS).
  Result<bool> drain(const Visit& visit);

 private:
  enum class Answer : std::uint8_t { complete, inconsistent };
  struct Close {
    void operator()(mnl_socket* socket) const noexcept {
      static_cast<void>(mnl_socket_close(socket));
    }
  };
  explicit NetlinkSocket(mnl_socket* socket) : socket_{socket} {}
  Result<Answer> receive_answer(bool acknowledged, const Visit& visit);

  std::unique_ptr<mnl_socket, Close> socket_;
  std::uint32_t sequence_ = 0;
};

// The attributes that follow a family header of `header_size` bytes, or those nested in one.
using VisitAttribute = std::function<void(std::uint16_t type, const nlattr& attribute)>;
void for_each_attribute(const nlmsghdr& message, std::size_t header_size,
                        const VisitAttribute& visit);
void for_each_nested(const nlattr& nest, const VisitAttribute& visit);

// A value of the attribute, or zero if it is shorter than that.
template <class T>
T attribute_value(const nlattr& attribute) {
  T value{};
  if (mnl_attr_get_payload_len(&attribute) >= sizeof value)
    std::memcpy(&value, mnl_attr_get_payload(&attribute), sizeof value);
  return value;
}

}  // namespace weir::node
