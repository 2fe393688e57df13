// SPDX-License-Identifier: Apache-2.0
#include "node/netlink.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace weir::node {
namespace {

// The kernel fills a dump's messages up to 32 KiB when it is given the room.
constexpr std::size_t kBufferSize = 32 * 1024;
// A table that changes faster than it can be read this often in a row is left for later.
constexpr int kDumpAttempts = 20;
// Messages taken in at one go. The rest stays queued, and the descriptor readable.
constexpr int kDrainReceives = 4096;

struct Buffer {
  alignas(nlmsghdr) std::array<char, kBufferSize> bytes;
};

template <class Each>
void for_each_message(const Buffer& buffer, ssize_t length, const Each& each) {
  auto left = static_cast<int>(length);
  const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.bytes.data());
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) each(*message);
}

// NLMSG_ERROR carries a nlmsgerr, NLMSG_DONE of a dump an int; both begin with 0 or -errno.
int error_of(const nlmsghdr& message) {
  int code = 0;
  if (mnl_nlmsg_get_payload_len(&message) >= sizeof code)
    std::memcpy(&code, mnl_nlmsg_get_payload(&message), sizeof code);
  return code;
}

}  // namespace

NetlinkRequest::NetlinkRequest(std::uint16_t type, std::uint16_t flags) {
  auto* header = mnl_nlmsg_put_header(buffer_.data());
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
}

Result<NetlinkSocket> NetlinkSocket::open(int bus, bool nonblocking) {
  const int flags = SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
  NetlinkSocket socket{mnl_socket_open2(bus, flags)};
  if (!socket.socket_) return fail(errno, "open netlink socket");
  if (mnl_socket_bind(socket.socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    return fail(errno, "bind netlink socket");
  return socket;
}

Result<> NetlinkSocket::join(std::span<const unsigned> groups) {
  for (unsigned group : groups) {
    if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return fail(errno, "join netlink group {}", group);
  }
  return {};
}

Result<> NetlinkSocket::set_option(int option, int value) {
  if (mnl_socket_setsockopt(socket_.get(), option, &value, sizeof value) != 0)
    return fail(errno, "set netlink option {}", option);
  return {};
}

void NetlinkSocket::grow_receive_buffer(int bytes) {
  // FORCE goes beyond net.core.rmem_max and needs CAP_NET_ADMIN.
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    static_cast<void>(setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes));
}

Result<> NetlinkSocket::request(NetlinkRequest& request, const std::function<void()>& restart,
                                const Visit& visit) {
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    auto* message = request.message();
    message->nlmsg_seq = ++sequence_;
    restart();
    if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0)
      return fail(errno, "send netlink request");
    auto answer = receive_answer((message->nlmsg_flags & NLM_F_ACK) != 0, visit);
    if (!answer) return std::unexpected{std::move(answer.error())};
    if (*answer == Answer::complete) return {};
  }
  return fail(EAGAIN, "netlink dump interrupted {} times", kDumpAttempts);
}

Result<NetlinkSocket::Answer> NetlinkSocket::receive_answer(bool acknowledged, const Visit& visit) {
  Buffer buffer{};
  bool done = false;
  bool interrupted = false;
  int code = 0;
  while (!done) {
    const auto length =
        mnl_socket_recvfrom(socket_.get(), buffer.bytes.data(), buffer.bytes.size());
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return fail(errno, "receive netlink answer");
    for_each_message(buffer, length, [&](const nlmsghdr& message) {
      if (message.nlmsg_seq != sequence_ || done) return;  // of a request that was given up
      if ((message.nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (message.nlmsg_type == NLMSG_ERROR || message.nlmsg_type == NLMSG_DONE) {
        code = error_of(message);
        done = true;
      } else if (message.nlmsg_type >= NLMSG_MIN_TYPE) {
        visit(message);
        done = !acknowledged && (message.nlmsg_flags & NLM_F_MULTI) == 0;
      }
    });
  }
  if (code != 0) return fail(code, "netlink");
  return interrupted ? Answer::inconsistent : Answer::complete;
}

Result<bool> NetlinkSocket::drain(const Visit& visit) {
  Buffer buffer{};
  bool lost = false;
  for (int i = 0; i < kDrainReceives; ++i) {
    const auto length =
        mnl_socket_recvfrom(socket_.get(), buffer.bytes.data(), buffer.bytes.size());
    if (length >= 0) {
      for_each_message(buffer, length, visit);
      continue;
    }
    if (errno == EAGAIN) break;
    if (errno == ENOBUFS)
      lost = true;  // reported once; what is still queued comes next
    else if (errno != EINTR)
      return fail(errno, "receive netlink events");
  }
  return lost;
}

void for_each_attribute(const nlmsghdr& message, std::size_t header_size,
                        const VisitAttribute& visit) {
  const auto* at = static_cast<const char*>(mnl_nlmsg_get_payload_offset(&message, header_size));
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(&message));
  for (const auto* attribute = reinterpret_cast<const nlattr*>(at);
       mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute))
    visit(mnl_attr_get_type(attribute), *attribute);
}

void for_each_nested(const nlattr& nest, const VisitAttribute& visit) {
  const auto* at = static_cast<const char*>(mnl_attr_get_payload(&nest));
  const auto* end = at + mnl_attr_get_payload_len(&nest);
  for (const auto* attribute = reinterpret_cast<const nlattr*>(at);
       mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute))
    visit(mnl_attr_get_type(attribute), *attribute);
}

}  // namespace weir::node
