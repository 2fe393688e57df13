// SPDX-License-Identifier: Apache-2.0
#include "packet_frame.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <cstring>
#include <span>
#include <stdexcept>

namespace weir::bench {
namespace {

constexpr std::size_t kIpv4 = 4, kWord = 12;  // bytes of an address, offset of its last word

std::size_t l4_offset(bool v4) {
  return ETH_HLEN + (v4 ? sizeof(iphdr) : sizeof(ipv6hdr));
}

std::uint32_t sum(std::span<const std::uint8_t> bytes) {
  std::uint32_t total = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    std::uint16_t word{};
    std::memcpy(&word, &bytes[i], sizeof word);
    total += word;
  }
  return total;
}

std::uint16_t folded(std::uint32_t total) {
  while ((total >> 16) != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(~total);
}

template <class T>
void put(Bytes& bytes, std::size_t at, const T& value) {
  std::memcpy(&bytes.at(at), &value, sizeof value);
}

template <class T>
T take(const Bytes& bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, &bytes.at(at), sizeof value);
  return value;
}

void put_ipv4(Bytes& bytes, const Tuple& tuple) {
  iphdr ip{};
  ip.version = 4;
  ip.ihl = sizeof ip / 4;
  ip.ttl = 64;
  ip.protocol = IPPROTO_UDP;
  ip.tot_len = htons(static_cast<std::uint16_t>(bytes.size() - ETH_HLEN));
  std::memcpy(&ip.saddr, &tuple.from[kWord], kIpv4);
  std::memcpy(&ip.daddr, &tuple.to[kWord], kIpv4);
  put(bytes, ETH_HLEN, ip);
  ip.check = folded(sum(std::span{bytes}.subspan(ETH_HLEN, sizeof ip)));
  put(bytes, ETH_HLEN, ip);
}

void put_ipv6(Bytes& bytes, const Tuple& tuple) {
  ipv6hdr ip{};
  ip.version = 6;
  ip.hop_limit = 64;
  ip.nexthdr = IPPROTO_UDP;
  ip.payload_len = htons(static_cast<std::uint16_t>(bytes.size() - l4_offset(false)));
  std::memcpy(&ip.saddr, tuple.from.data(), tuple.from.size());
  std::memcpy(&ip.daddr, tuple.to.data(), tuple.to.size());
  put(bytes, ETH_HLEN, ip);
}

}  // namespace

Address address(const std::string& text, bool v4) {
  Address parsed{};
  if (inet_pton(v4 ? AF_INET : AF_INET6, text.c_str(), &parsed.at(v4 ? kWord : 0)) != 1)
    throw std::runtime_error("no address: " + text);
  return parsed;
}

Address plus(Address address, std::uint32_t more) {
  std::uint32_t word{};
  std::memcpy(&word, &address[kWord], sizeof word);
  word = htonl(ntohl(word) + more);
  std::memcpy(&address[kWord], &word, sizeof word);
  return address;
}

Bytes frame(const Aim& aim, const Tuple& tuple) {
  Bytes bytes(kFrame);
  std::memcpy(bytes.data(), aim.mac.data(), aim.mac.size());
  bytes[ETH_ALEN] = 2;
  put(bytes, 2 * ETH_ALEN, htons(aim.v4 ? ETH_P_IP : ETH_P_IPV6));
  aim.v4 ? put_ipv4(bytes, tuple) : put_ipv6(bytes, tuple);
  const auto l4 = l4_offset(aim.v4);
  udphdr udp{};
  udp.source = htons(tuple.sport);
  udp.dest = htons(tuple.dport);
  udp.len = htons(static_cast<std::uint16_t>(bytes.size() - l4));
  put(bytes, l4, udp);
  const auto pseudo = sum(tuple.from) + sum(tuple.to) + udp.len + htons(IPPROTO_UDP);
  udp.check = folded(pseudo + sum(std::span{bytes}.subspan(l4)));
  if (udp.check == 0) udp.check = 0xffff;
  put(bytes, l4, udp);
  return bytes;
}

Tuple read(const Aim& aim, const Bytes& bytes) {
  if (bytes.size() != kFrame) throw std::runtime_error("a frame of another size came back");
  Tuple tuple;
  const auto at = aim.v4 ? kWord : 0;
  const auto size = aim.v4 ? kIpv4 : sizeof(Address);
  const auto from = ETH_HLEN + (aim.v4 ? offsetof(iphdr, saddr) : offsetof(ipv6hdr, saddr));
  std::memcpy(&tuple.from.at(at), &bytes.at(from), size);
  std::memcpy(&tuple.to.at(at), &bytes.at(from + size), size);
  const auto udp = take<udphdr>(bytes, l4_offset(aim.v4));
  tuple.sport = ntohs(udp.source);
  tuple.dport = ntohs(udp.dest);
  return tuple;
}

Tuple mirrored(const Tuple& tuple) {
  return {.from = tuple.to, .to = tuple.from, .sport = tuple.dport, .dport = tuple.sport};
}

bench_packet summary(const Aim& aim, const Bytes& bytes) {
  const auto tuple = read(aim, bytes);
  bench_packet packet{};
  std::memcpy(&packet.saddr, &tuple.from[kWord], sizeof packet.saddr);
  std::memcpy(&packet.daddr, &tuple.to[kWord], sizeof packet.daddr);
  packet.sport = htons(tuple.sport);
  packet.dport = htons(tuple.dport);
  if (aim.v4) packet.ip_check = take<iphdr>(bytes, ETH_HLEN).check;
  packet.l4_check = take<udphdr>(bytes, l4_offset(aim.v4)).check;
  return packet;
}

}  // namespace weir::bench
