// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/datapath.hpp"

namespace weir::test {

// Verdict, every byte, and every counter.
void check(const Ran& got, Verdict verdict, const Frame& out, const Names& counted);
void check_bytes(const Ran& got, Verdict verdict, const Frame& out);

// A way through the node: where the client comes in, and what its backend is.
struct Path {
  const char* name;
  Hook forward;
  Hook reply;
  Device device;        // of the client
  Device reply_device;  // where replies meet a hook
  std::string World::* client;
  std::string World::* backend;
  bool local;  // the backend is on this node
  bool sent;   // source-NATed, and sent by the hook itself

  [[nodiscard]] bool raw() const { return forward == Hook::kRawIn; }
  [[nodiscard]] bool xdp() const { return forward == Hook::kXdp; }
};

extern const std::vector<Path> kTranslatedPaths;  // on through the stack
extern const std::vector<Path> kSentPaths;
std::vector<Path> all_paths();
std::vector<Path> tc_paths();

// One client, one service of one backend, one connection on one path.
class Conversation {
 public:
  static constexpr std::uint16_t kPort = 80;

  Conversation(Datapath& dp, const World& world, const Path& path, std::uint8_t proto);

  // From client to service, as it comes in: a SYN, an INIT, or a datagram.
  [[nodiscard]] Packet opening() const;
  [[nodiscard]] Packet data() const;                            // in an open connection
  [[nodiscard]] Packet forwarded(const Packet& request) const;  // what shall become of it
  [[nodiscard]] Packet answer() const;  // backend's: SYN-ACK, INIT ACK, datagram
  [[nodiscard]] Packet more() const;    // backend's, later
  [[nodiscard]] Packet translated_back(const Packet& reply) const;

  // Runs it; learns the source port that was drawn from the first packet that goes out.
  Ran forward(const Packet& request);
  Ran reply(const Packet& reply);
  // Up to and with the packet that establishes the flow; the bytes are checked on the way.
  void establish();

  // The counters of a packet that goes there or comes back, and `more` that it counts.
  [[nodiscard]] Names counts_forward(Names more = {}) const;
  [[nodiscard]] Names counts_reply(Names more = {}) const;

  [[nodiscard]] weir_flow_key forward_key() const;
  [[nodiscard]] weir_flow_key reply_key() const;
  [[nodiscard]] FlowTable half_table() const;
  [[nodiscard]] Verdict went() const;  // the verdict on what goes forward
  [[nodiscard]] Verdict came() const;  // the verdict on replies

  [[nodiscard]] const Path& path() const { return path_; }
  [[nodiscard]] bool tcp() const { return proto_ == IPPROTO_TCP; }
  [[nodiscard]] bool sctp() const { return proto_ == IPPROTO_SCTP; }
  [[nodiscard]] bool v4() const { return client_.ip.find(':') == std::string::npos; }
  [[nodiscard]] const Served& served() const { return served_; }
  [[nodiscard]] const Service& service() const { return service_; }
  [[nodiscard]] Endpoint client() const { return client_; }
  [[nodiscard]] Endpoint frontend() const { return frontend_; }
  [[nodiscard]] Endpoint backend() const { return backend_; }
  [[nodiscard]] Endpoint source() const { return source_; }  // what the backend sees

 private:
  [[nodiscard]] Packet packet(const Endpoint& from, const Endpoint& to) const;

  Datapath& dp_;
  const Path& path_;
  std::uint8_t proto_;
  Endpoint client_;
  Endpoint frontend_;
  Endpoint backend_;
  Endpoint source_;
  Service service_;
  Served served_;
};

// `test` for each path, family and protocol, with empty tables and a new Conversation.
void on_every(const std::vector<Path>& paths,
              const std::function<void(Datapath&, Conversation&)>& test);

// The same, of one protocol alone: `tcp`, or UDP.
void on_each(bool tcp, const std::function<void(Datapath&, Conversation&)>& test);

// Of SCTP: at tc alone, as XDP leaves it.
void on_sctp(const std::function<void(Datapath&, Conversation&)>& test);

std::size_t established(const Datapath& dp);  // records, two a flow

// `test` for each family.
void in_both_worlds(const std::function<void(Datapath&, const World&)>& test);

// A SYN, an INIT or a datagram, as it comes in by the uplink from the router, or from a pod.
Packet from_uplink(std::uint8_t proto, const Endpoint& from, const Endpoint& to);
Packet from_pod(std::uint8_t proto, const Endpoint& from, const Endpoint& to);

// The whole conversation, with every packet changed by `change`.
using ChangePacket = std::function<Packet(const Packet&)>;
void talk_changed(Conversation& talk, const ChangePacket& change);

// That of a thousand of this packet, which is refused from the uplink, the first hundred have an
// answer and then one a millisecond. The datapath must have answered nothing yet.
void check_limited(Datapath& dp, const Frame& refused);

}  // namespace weir::test
