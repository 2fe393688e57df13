// SPDX-License-Identifier: Apache-2.0
//
// Sends one burst of UDP frames into a device by BPF_F_TEST_XDP_LIVE_FRAMES and prints how long it
// took. The frames go round in one thread: it returns when the last one has been taken.
//   weir_bench_generator DEVICE DST_MAC SRC_ADDR FIRST_PORT FLOWS DST_ADDR DST_PORT
//                        BACKEND_ADDR BACKEND_PORT FRAMES
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <netinet/ether.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <span>
#include <string_view>

#include "weir_bench.h"
#include "weir_bench.skel.h"

namespace {

constexpr std::uint32_t kMostFrames = 20'000'000;
constexpr std::uint32_t kBatch = 64;

[[noreturn]] void give_up(std::string_view what) {
  std::fprintf(stderr, "weir_bench_generator: %.*s: %s\n", static_cast<int>(what.size()),
               what.data(), std::strerror(errno));
  std::exit(EXIT_FAILURE);
}

std::uint32_t number(std::string_view text, std::uint32_t most) {
  std::uint32_t value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > most) {
    errno = EINVAL;
    give_up(text);
  }
  return value;
}

std::uint16_t port(std::string_view text) {
  return htons(static_cast<std::uint16_t>(number(text, UINT16_MAX)));
}

std::uint32_t address(const char* text) {
  in_addr parsed{};
  if (inet_pton(AF_INET, text, &parsed) != 1) {
    errno = EINVAL;
    give_up(text);
  }
  return parsed.s_addr;
}

// One's complement sum of bytes, of which there is an even number.
std::uint32_t sum(std::span<const std::uint8_t> bytes, std::uint32_t start = 0) {
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    std::uint16_t word{};
    std::memcpy(&word, &bytes[i], sizeof(word));
    start += word;
  }
  return start;
}

std::uint16_t checksum(std::uint32_t total) {
  while ((total >> 16) != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(~total);
}

// With the checksum of source port 0: see bench_generate().
bench_frame model(std::span<char*> words) {
  bench_frame frame{};
  if (ether_aton_r(words[1], reinterpret_cast<ether_addr*>(frame.eth.h_dest)) == nullptr) {
    errno = EINVAL;
    give_up(words[1]);
  }
  frame.eth.h_source[0] = 2;
  frame.eth.h_proto = htons(ETH_P_IP);
  frame.ip.version = 4;
  frame.ip.ihl = 5;
  frame.ip.ttl = BENCH_TTL;
  frame.ip.protocol = IPPROTO_UDP;
  frame.ip.tot_len = htons(BENCH_FRAME - ETH_HLEN);
  frame.ip.saddr = address(words[2]);
  frame.ip.daddr = address(words[5]);
  frame.udp.dest = port(words[6]);
  frame.udp.len = htons(BENCH_FRAME - ETH_HLEN - sizeof(iphdr));
  frame.magic = htonl(BENCH_MAGIC);
  frame.backend_addr = address(words[7]);
  frame.backend_port = port(words[8]);

  std::array<std::uint8_t, BENCH_FRAME> bytes{};
  std::memcpy(bytes.data(), &frame, bytes.size());
  const auto ip = std::span{bytes}.subspan(ETH_HLEN);
  const std::uint32_t pseudo =
      sum(ip.subspan(12, 8), static_cast<std::uint32_t>(frame.udp.len) + htons(IPPROTO_UDP));
  frame.ip.check = checksum(sum(ip.first(sizeof(iphdr))));
  frame.udp.check = checksum(sum(ip.subspan(sizeof(iphdr)), pseudo));
  frame.udp.source = port(words[3]);
  return frame;
}

std::uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t burst(int program, std::uint32_t frames) {
  std::array<std::uint8_t, BENCH_FRAME> data{};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = data.data(),
              .data_size_in = static_cast<std::uint32_t>(data.size()),
              .repeat = static_cast<int>(frames), .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
              .batch_size = kBatch);
  const std::uint64_t begin = now();
  if (bpf_prog_test_run_opts(program, &options) != 0) give_up("live frames");
  return now() - begin;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 11) {
    std::fputs("weir_bench_generator: see bench/generator.cpp\n", stderr);
    return EXIT_FAILURE;
  }
  const std::span<char*> words{argv + 1, 10};
  const auto frames = number(words[9], kMostFrames);
  const std::unique_ptr<weir_bench_bpf, decltype(&weir_bench_bpf::destroy)> bench{
      weir_bench_bpf::open(nullptr), &weir_bench_bpf::destroy};
  if (!bench) give_up("open");

  const bench_frame frame = model(words);
  bench->bss->model = frame;
  bench->rodata->out_ifindex = if_nametoindex(words[0]);
  bench->rodata->flows = number(words[4], 30'000);
  if (bench->rodata->out_ifindex == 0) give_up(words[0]);
  if (weir_bench_bpf::load(bench.get()) != 0) give_up("load");

  const auto taken = burst(bpf_program__fd(bench->progs.bench_generate), frames);
  std::printf("{\"frames\": %u, \"ns\": %llu}\n", frames, static_cast<unsigned long long>(taken));
  return EXIT_SUCCESS;
}
