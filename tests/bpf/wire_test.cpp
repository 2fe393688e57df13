// SPDX-License-Identifier: Apache-2.0
// What no test run can make: a tag that receiving took out of the frame, and half a checksum.
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "bpf/conversation.hpp"
#include "bpf/objects.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// struct virtio_net_hdr, whose header is no C++.
struct OffloadHeader {
  std::uint8_t flags;
  std::uint8_t gso_type;
  std::uint16_t hdr_len;
  std::uint16_t gso_size;
  std::uint16_t csum_start;
  std::uint16_t csum_offset;
};
constexpr std::uint8_t kNeedsCsum = 1;

struct Received {
  Frame frame;
  bool tagged{};  // beside the frame
};

void set_option(int socket, int option) {
  const int on = 1;
  REQUIRE(::setsockopt(socket, SOL_PACKET, option, &on, sizeof on) == 0);
}

// The far end of up0, and the uplink's program attached at this one.
class Wire {
 public:
  Wire() : socket_{::socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))} {
    REQUIRE(socket_ >= 0);
    for (const int option : {PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING})
      set_option(socket_, option);
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(::if_nametoindex("up0p"));
    REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    hook_.sz = sizeof hook_;
    hook_.ifindex = static_cast<int>(ifindex(Device::kUp0));
    hook_.attach_point = BPF_TC_INGRESS;
    REQUIRE(bpf_tc_hook_create(&hook_) == 0);
    bpf_tc_opts options{};
    options.sz = sizeof options;
    options.prog_fd = Objects::get().program(Hook::kUpIn);
    REQUIRE(bpf_tc_attach(&hook_, &options) == 0);
  }
  ~Wire() {
    hook_.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
    bpf_tc_hook_destroy(&hook_);
    ::close(socket_);
  }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // check: where the sum that is to be finished begins and where in that it goes, if any.
  void send(const Frame& frame, std::optional<std::array<std::size_t, 2>> check = {}) const {
    OffloadHeader header{};
    if (check) {
      header.flags = kNeedsCsum;
      header.csum_start = static_cast<std::uint16_t>(check->front());
      header.csum_offset = static_cast<std::uint16_t>(check->back());
    }
    Bytes bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes.insert(bytes.end(), frame.bytes.begin(), frame.bytes.end());
    REQUIRE(::send(socket_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }

  // The next frame to `mac`; what the namespace itself says goes to others.
  [[nodiscard]] Received receive(const Mac& mac) const {
    for (;;) {
      pollfd ready{.fd = socket_, .events = POLLIN, .revents = 0};
      REQUIRE(::poll(&ready, 1, 2000) == 1);
      auto got = next();
      if (std::equal(mac.begin(), mac.end(), got.frame.bytes.begin())) return got;
    }
  }

 private:
  [[nodiscard]] Received next() const {
    Bytes bytes(4096);
    alignas(cmsghdr) std::array<char, 256> control{};
    iovec to{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &to;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto size = ::recvmsg(socket_, &message, 0);
    OffloadHeader header{};
    REQUIRE(size > static_cast<ssize_t>(sizeof header) + ETH_HLEN);
    std::memcpy(&header, bytes.data(), sizeof header);
    Received got;
    got.frame.bytes.assign(bytes.begin() + sizeof header, bytes.begin() + size);
    if (header.flags & kNeedsCsum) finish(got.frame.bytes, header);
    for (auto* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
      tpacket_auxdata aux{};
      if (part->cmsg_type != PACKET_AUXDATA) continue;
      std::memcpy(&aux, CMSG_DATA(part), sizeof aux);
      got.tagged = (aux.tp_status & TP_STATUS_VLAN_VALID) != 0;
    }
    return got;
  }

  // What the device would do.
  static void finish(Bytes& bytes, const OffloadHeader& header) {
    std::uint32_t sum = 0;
    for (std::size_t i = header.csum_start; i < bytes.size(); ++i)
      sum += (i - header.csum_start) % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    const std::size_t at = std::size_t{header.csum_start} + header.csum_offset;
    bytes.at(at) = static_cast<std::uint8_t>(~sum >> 8);
    bytes.at(at + 1) = static_cast<std::uint8_t>(~sum);
  }

  int socket_;
  bpf_tc_hook hook_{};
};

}  // namespace

TEST_CASE("a tag that receiving took out of the frame does not go on to the next device") {
  in_both_worlds([](Datapath& dp, const World& world) {
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
              .backends = {{{world.remote, 8080}, false}},
              .policies = 0});
    const Wire wire;
    const auto request = from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.vip, 80});
    wire.send(request.vlan({.id = 9, .tpid = 0x8100}).frame());
    const auto got = wire.receive(kNode2Mac);
    CHECK(!got.tagged);
    const Endpoint source{world.node, parse(got.frame).value().sport};
    const auto wanted =
        request.from(source).to({world.remote, 8080}).ttl(63).macs(kUp0Mac, kNode2Mac).frame();
    INFO(difference(got.frame, wanted));
    CHECK(got.frame == wanted);
  });
}

TEST_CASE("the answer to a packet with half a checksum has a whole one") {
  for (const int number : {IPPROTO_TCP, IPPROTO_UDP}) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      const auto proto = static_cast<std::uint8_t>(number);
      dp.serve({.proto = proto,
                .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
                .backends = {},
                .policies = 0});
      const Wire wire;
      // Nothing behind the transport header, so that what is quoted is finished as all of it.
      const auto request =
          from_uplink(proto, {world.client, 40000}, {world.cluster_ip, 80}).payload("");
      const bool tcp = proto == IPPROTO_TCP;
      wire.send(request.partial().frame(), {{request.l4_offset(), tcp ? 16U : 6U}});
      const auto got = wire.receive(kRouterMac);
      const auto quoted = request.l4_offset() - request.l3_offset() + (tcp ? 20 : 8);
      const auto wanted =
          Packet::port_unreachable(world.cluster_ip, request.frame(), quoted).df().frame();
      INFO(difference(got.frame, wanted));
      CHECK(got.frame == wanted);
    });
  }
}

}  // namespace weir::test
