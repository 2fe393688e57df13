// SPDX-License-Identifier: Apache-2.0
//
// Sends one burst of UDP frames into a device by BPF_F_TEST_XDP_LIVE_FRAMES and prints how long
// each took. The frames go round in one thread: it returns when the last one has been taken.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <netinet/ether.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>

#include "weir_bench.h"
#include "weir_bench.skel.h"

namespace {

constexpr std::uint32_t kMostFrames = 20'000'000;
constexpr std::uint32_t kBatch = 64;

struct Options {
  std::string device, mac, source, address, backend;
  std::uint16_t port{}, backend_port{}, backends{1};
  std::uint32_t first{}, flows{1}, frames{};
  bool random{};
};

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "weir_bench_generator: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(EXIT_FAILURE);
}

void describe(CLI::App& app, Options& to) {
  app.add_option("--device", to.device, "Into which to send")->required();
  app.add_option("--mac", to.mac, "Where frames go")->required();
  app.add_option("--source", to.source, "The first client")->required()->check(CLI::ValidIPV4);
  app.add_option("--address", to.address, "That is asked")->required()->check(CLI::ValidIPV4);
  app.add_option("--port", to.port, "That is asked")->required();
  app.add_option("--backend", to.backend, "The first")->required()->check(CLI::ValidIPV4);
  app.add_option("--backends", to.backends, "How many, by addresses in a row");
  app.add_option("--backend-port", to.backend_port)->required();
  app.add_option("--first", to.first, "Flow");
  app.add_option("--flows", to.flows, "How many there are")->check(CLI::PositiveNumber);
  app.add_flag("--random", to.random, "Not in turn");
  app.add_option("--frames", to.frames)->required()->check(CLI::Range(1U, kMostFrames));
}

std::uint32_t address(const std::string& text) {
  in_addr parsed{};
  if (inet_pton(AF_INET, text.c_str(), &parsed) != 1) give_up(text);
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

void write_checksums(bench_frame& frame) {
  std::array<std::uint8_t, BENCH_FRAME> bytes{};
  std::memcpy(bytes.data(), &frame, bytes.size());
  const auto ip = std::span{bytes}.subspan(ETH_HLEN);
  const std::uint32_t pseudo =
      sum(ip.subspan(12, 8), static_cast<std::uint32_t>(frame.udp.len) + htons(IPPROTO_UDP));
  frame.ip.check = checksum(sum(ip.first(sizeof(iphdr))));
  frame.udp.check = checksum(sum(ip.subspan(sizeof(iphdr)), pseudo));
}

// With the checksums of source 0.0.0.0, port 0: see bench_generate().
bench_frame model(const Options& options) {
  bench_frame frame{};
  if (ether_aton_r(options.mac.c_str(), reinterpret_cast<ether_addr*>(frame.eth.h_dest)) == nullptr)
    give_up(options.mac);
  frame.eth.h_source[0] = 2;
  frame.eth.h_proto = htons(ETH_P_IP);
  frame.ip.version = 4;
  frame.ip.ihl = 5;
  frame.ip.ttl = BENCH_TTL;
  frame.ip.protocol = IPPROTO_UDP;
  frame.ip.tot_len = htons(BENCH_FRAME - ETH_HLEN);
  frame.ip.daddr = frame.asked_addr = address(options.address);
  frame.udp.dest = frame.asked_port = htons(options.port);
  frame.udp.len = htons(BENCH_FRAME - ETH_HLEN - sizeof(iphdr));
  frame.magic = htonl(BENCH_MAGIC);
  frame.backend_addr = address(options.backend);
  frame.backend_port = htons(options.backend_port);
  frame.backends = htons(options.backends);
  write_checksums(frame);
  frame.ip.saddr = address(options.source);
  return frame;
}

// Nanoseconds a frame by the kernel's own clock: to make the pages and to free them takes as long
// as tens of thousands of frames, and is none of what is measured.
std::uint32_t burst(int program, std::uint32_t frames) {
  std::array<std::uint8_t, BENCH_FRAME> data{};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = data.data(),
              .data_size_in = static_cast<std::uint32_t>(data.size()),
              .repeat = static_cast<int>(frames), .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
              .batch_size = kBatch);
  if (bpf_prog_test_run_opts(program, &options) != 0) give_up("live frames");
  return options.duration;
}

void send(const Options& options) {
  const std::unique_ptr<weir_bench_bpf, decltype(&weir_bench_bpf::destroy)> bench{
      weir_bench_bpf::open(nullptr), &weir_bench_bpf::destroy};
  if (!bench) give_up("open");
  bench->bss->model = model(options);
  bench->rodata->out_ifindex = if_nametoindex(options.device.c_str());
  bench->rodata->first = options.first;
  bench->rodata->flows = options.flows;
  bench->rodata->random_order = options.random ? 1 : 0;
  if (bench->rodata->out_ifindex == 0) give_up(options.device);
  bpf_object* object = bench->obj;
  for (bpf_program* each = bpf_object__next_program(object, nullptr); each != nullptr;
       each = bpf_object__next_program(object, each))
    bpf_program__set_autoload(each, each == bench->progs.bench_generate);
  if (weir_bench_bpf::load(bench.get()) != 0) give_up("load");

  const auto taken = burst(bpf_program__fd(bench->progs.bench_generate), options.frames);
  std::printf("{\"frames\": %u, \"ns\": %u}\n", options.frames, taken);
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Sends one burst of UDP frames, and prints how long each took."};
  Options options;
  describe(app, options);
  CLI11_PARSE(app, argc, argv);
  send(options);
  return EXIT_SUCCESS;
} catch (const std::exception& error) {
  std::fprintf(stderr, "weir_bench_generator: %s\n", error.what());
  return EXIT_FAILURE;
}
