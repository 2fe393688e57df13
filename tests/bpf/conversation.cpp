// SPDX-License-Identifier: Apache-2.0
#include "bpf/conversation.hpp"

#include <netinet/in.h>

#include <chrono>
#include <utility>

#include "support/catch.hpp"
#include "support/one_cpu.hpp"

namespace weir::test {

const std::vector<Path> kTranslatedPaths{
    {"uplink to a pod here", Hook::kUpIn, Hook::kUpOut, Device::kUp0, Device::kUp0, &World::client,
     &World::pod0, true, false},
    {"raw uplink to a pod here", Hook::kRawIn, Hook::kRawOut, Device::kUp0, Device::kUp0,
     &World::client, &World::raw_pod, true, false},
    {"pod to a pod here", Hook::kPodIn, Hook::kPodOut, Device::kPod0, Device::kPod0, &World::pod0,
     &World::pod1, true, false},
    {"pod to a pod elsewhere", Hook::kPodIn, Hook::kPodOut, Device::kPod0, Device::kPod0,
     &World::pod0, &World::remote, false, false},
};

const std::vector<Path> kSentPaths{
    {"uplink and back by tc", Hook::kUpIn, Hook::kUpIn, Device::kUp0, Device::kUp0, &World::client,
     &World::remote, false, true},
    {"uplink to uplink by tc", Hook::kUpIn, Hook::kUpIn, Device::kUp0, Device::kUp1, &World::client,
     &World::far, false, true},
    {"uplink and back by XDP", Hook::kXdp, Hook::kXdp, Device::kUp0, Device::kUp0, &World::client,
     &World::remote, false, true},
    {"uplink to uplink by XDP", Hook::kXdp, Hook::kXdp, Device::kUp0, Device::kUp1, &World::client,
     &World::far, false, true},
};

namespace {

constexpr std::size_t kInitSize = 16;  // what an INIT says at least, behind its chunk's header

Packet made(std::uint8_t proto, const Endpoint& from, const Endpoint& to) {
  switch (proto) {
    case IPPROTO_TCP:
      return Packet::tcp(from, to);
    case IPPROTO_SCTP:
      return Packet::sctp(from, to);
    default:
      return Packet::udp(from, to);
  }
}

// Opens an association: the one that will be its tag is inside.
Packet init(const Packet& packet) {
  return packet.tag(0).chunk(kSctpInit).payload(kInitSize);
}

const char* name_of(std::uint8_t proto) {
  if (proto == IPPROTO_SCTP) return "SCTP";
  return proto == IPPROTO_TCP ? "TCP" : "UDP";
}

void on_each_of(const std::vector<Path>& paths, const std::vector<std::uint8_t>& protocols,
                const std::function<void(Datapath&, Conversation&)>& test) {
  for (const auto& path : paths) {
    for (const auto* world : {&kV4, &kV6}) {
      for (const auto proto : protocols) {
        Datapath dp;
        Conversation talk{dp, *world, path, proto};
        INFO(path.name << ", IPv" << world->family << ", " << name_of(proto));
        test(dp, talk);
      }
    }
  }
}

}  // namespace

void check_bytes(const Ran& got, Verdict verdict, const Frame& out) {
  INFO(difference(got.out, out));
  CHECK(got.verdict == verdict);
  CHECK(got.out == out);
}

void check(const Ran& got, Verdict verdict, const Frame& out, const Names& counted) {
  check_bytes(got, verdict, out);
  CHECK(got.counted == counted);
}

Conversation::Conversation(Datapath& dp, const World& world, const Path& path, std::uint8_t proto)
    : dp_{dp},
      path_{path},
      proto_{proto},
      client_{world.*path.client, 40000},
      frontend_{world.cluster_ip, kPort},
      backend_{world.*path.backend, 8080},
      source_{client_},
      service_{.proto = proto,
               .frontends = {{frontend_, WEIR_FRONTEND_CLUSTER_IP}},
               .backends = {{backend_, path.local}},
               .policies = 0},
      served_{dp.serve(service_)} {
  if (path.sent) source_ = {path.reply_device == Device::kUp1 ? world.node1 : world.node, 0};
  dp.allow_xdp_to(Device::kUp0);
  dp.allow_xdp_to(Device::kUp1);
}

Packet Conversation::packet(const Endpoint& from, const Endpoint& to) const {
  const auto packet = made(proto_, from, to);
  // A test run takes 14 bytes for an Ethernet header and wants an IP header behind them.
  return path_.raw() ? packet.raw().payload("a longer query") : packet;
}

Packet Conversation::opening() const {
  const auto request = data();
  if (sctp()) return init(request);
  return tcp() ? request.flags(kSyn).seq(5000).ack(0).payload("") : request;
}

Packet Conversation::data() const {
  const auto request = packet(client_, frontend_).seq(5001).ack(9001);
  return path_.device == Device::kUp0 ? request.macs(kRouterMac, kUp0Mac)
                                      : request.macs(kPodMac, kPodHostMac);
}

Packet Conversation::forwarded(const Packet& request) const {
  const auto there = request.from(source_).to(backend_);
  if (!path_.sent) return there;
  if (!path_.xdp()) return there.ttl(63);
  return path_.reply_device == Device::kUp0 ? there.ttl(63).macs(kUp0Mac, kNode2Mac)
                                            : there.ttl(63).macs(kUp1Mac, kNode3Mac);
}

Packet Conversation::answer() const {
  const auto reply = more();
  if (sctp()) return reply.chunk(kSctpInitAck).payload(kInitSize + 8);  // and a cookie
  return tcp() ? reply.flags(kSyn | kAck).seq(9000).payload("") : reply;
}

Packet Conversation::more() const {
  const auto reply = packet(backend_, source_).seq(9001).ack(5001);
  if (!path_.sent)
    return path_.device == Device::kUp0 ? reply.macs(kUp0Mac, kRouterMac)
                                        : reply.macs(kPodHostMac, kPodMac);
  return path_.reply_device == Device::kUp0 ? reply.macs(kNode2Mac, kUp0Mac)
                                            : reply.macs(kNode3Mac, kUp1Mac);
}

Packet Conversation::translated_back(const Packet& reply) const {
  const auto there = reply.from(frontend_).to(client_);
  if (!path_.sent) return there;
  return path_.xdp() ? there.ttl(63).macs(kUp0Mac, kRouterMac) : there.ttl(63);
}

Ran Conversation::forward(const Packet& request) {
  auto ran = dp_.run(path_.forward, path_.device, request.frame());
  const auto parsed = parse(ran.out);
  if (parsed && parsed->saddr == source_.ip && parsed->sport != 0) source_.port = parsed->sport;
  return ran;
}

Ran Conversation::reply(const Packet& reply) {
  return dp_.run(path_.reply, path_.reply_device, reply.frame());
}

void Conversation::establish() {
  const auto first = forward(opening());
  check_bytes(first, went(), forwarded(opening()).frame());
  check_bytes(reply(answer()), came(), translated_back(answer()).frame());
  if (proto_ == IPPROTO_TCP) {
    const auto ack = data().payload("");
    check_bytes(forward(ack), went(), forwarded(ack).frame());
  }
  REQUIRE(dp_.flow(FlowTable::kEstablished, forward_key()));
}

weir_flow_key Conversation::forward_key() const {
  return to_key(proto_, client_, frontend_);
}
weir_flow_key Conversation::reply_key() const {
  return to_key(proto_, backend_, source_);
}

FlowTable Conversation::half_table() const {
  return proto_ == IPPROTO_TCP ? FlowTable::kHalfTcp : FlowTable::kHalfUdp;
}

Verdict Conversation::went() const {
  return path_.sent ? Verdict::kRedirect : Verdict::kNext;
}

Verdict Conversation::came() const {
  return went();
}

Names Conversation::counts_forward(Names more) const {
  const char* first = "forward_tc";
  if (path_.sent) first = path_.xdp() ? "forward_xdp" : "forward_tc_sent";
  more.insert(more.begin(), first);
  return more;
}

Names Conversation::counts_reply(Names more) const {
  if (path_.sent) return counts_forward(std::move(more));
  more.insert(more.begin(), "reply_tc");
  return more;
}

std::vector<Path> all_paths() {
  auto paths = kTranslatedPaths;
  paths.insert(paths.end(), kSentPaths.begin(), kSentPaths.end());
  return paths;
}

std::vector<Path> tc_paths() {
  auto paths = all_paths();
  std::erase_if(paths, [](const Path& path) { return path.xdp(); });
  return paths;
}

void on_every(const std::vector<Path>& paths,
              const std::function<void(Datapath&, Conversation&)>& test) {
  on_each_of(paths, {IPPROTO_TCP, IPPROTO_UDP}, test);
}

void on_sctp(const std::function<void(Datapath&, Conversation&)>& test) {
  on_each_of(tc_paths(), {IPPROTO_SCTP}, test);
}

void in_both_worlds(const std::function<void(Datapath&, const World&)>& test) {
  for (const auto* world : {&kV4, &kV6}) {
    Datapath dp;
    INFO("IPv" << world->family);
    test(dp, *world);
  }
}

Packet from_uplink(std::uint8_t proto, const Endpoint& from, const Endpoint& to) {
  const auto packet = made(proto, from, to).macs(kRouterMac, kUp0Mac);
  if (proto == IPPROTO_SCTP) return init(packet);
  return proto == IPPROTO_TCP ? packet.flags(kSyn).seq(5000).ack(0).payload("") : packet;
}

Packet from_pod(std::uint8_t proto, const Endpoint& from, const Endpoint& to) {
  return from_uplink(proto, from, to).macs(kPodMac, kPodHostMac);
}

// Conversations of one protocol; `tcp` or not.
void on_each(bool tcp, const std::function<void(Datapath&, Conversation&)>& test) {
  on_every(all_paths(), [&](Datapath& dp, Conversation& talk) {
    if (talk.tcp() == tcp) test(dp, talk);
  });
}

std::size_t established(const Datapath& dp) {
  return dp.count_flows(FlowTable::kEstablished);
}

void talk_changed(Conversation& talk, const ChangePacket& change) {
  const auto opening = change(talk.opening());
  const auto first = talk.forward(opening);
  check_bytes(first, talk.went(), talk.forwarded(opening).frame());
  const auto answer = change(talk.answer());
  check_bytes(talk.reply(answer), talk.came(), talk.translated_back(answer).frame());
  const auto data = change(talk.data());
  check_bytes(talk.forward(data), talk.went(), talk.forwarded(data).frame());
  const auto more = change(talk.more());
  check_bytes(talk.reply(more), talk.came(), talk.translated_back(more).frame());
}

void check_limited(Datapath& dp, const Frame& refused) {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::steady_clock;
  const OneCpu here;  // the next one would answer a hundred of its own
  const auto begin = steady_clock::now();
  int answered = 0;
  for (int i = 0; i < 1000; ++i)
    if (dp.run_uncounted(Hook::kUpIn, Device::kUp0, refused).verdict == Verdict::kRedirect)
      ++answered;
  const auto ms = duration_cast<milliseconds>(steady_clock::now() - begin).count();
  CAPTURE(answered, ms);
  CHECK(answered >= 100);
  CHECK(answered <= 100 + ms + 11);  // a period of the coarse clock, at HZ=100
  const auto over = dp.run(Hook::kUpIn, Device::kUp0, refused);
  if (over.verdict == Verdict::kDrop) CHECK(over.counted == Names{"drop_answer_limit"});
}

}  // namespace weir::test
