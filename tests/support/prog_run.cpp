// SPDX-License-Identifier: Apache-2.0
#include "support/prog_run.hpp"

#include <bpf/bpf.h>

#include <string_view>

namespace weir::test {
namespace {

constexpr std::uint32_t kChecksumComplete = 1U << 2;  // BPF_F_TEST_SKB_CHECKSUM_COMPLETE
constexpr std::size_t kGrowth = 2048;                 // an answer may be longer than the question

struct Buffers {
  Frame out;

  Buffers(const Frame& in, bpf_test_run_opts& opts)
      : out{Bytes(in.bytes.size() + kGrowth), in.link} {
    opts.data_in = in.bytes.data();
    opts.data_size_in = static_cast<__u32>(in.bytes.size());
    opts.data_out = out.bytes.data();
    opts.data_size_out = static_cast<__u32>(out.bytes.size());
  }
};

Result<Frame> run(int program, Buffers buffers, bpf_test_run_opts& opts, std::string_view what) {
  if (const int rc = bpf_prog_test_run_opts(program, &opts); rc != 0)
    return fail(rc, "test run of a {} program", what);
  buffers.out.bytes.resize(opts.data_size_out);
  return std::move(buffers.out);
}

}  // namespace

Result<TcRan> run_tc(int program, const Frame& in, const TcContext& context) {
  __sk_buff before{};
  before.ifindex = context.ifindex;
  before.ingress_ifindex = context.ingress_ifindex;
  before.mark = context.mark;
  before.gso_size = context.gso_size;
  before.gso_segs = context.gso_segs;

  TcRan ran;
  LIBBPF_OPTS(bpf_test_run_opts, opts);
  Buffers buffers{in, opts};
  opts.ctx_in = &before;
  opts.ctx_size_in = sizeof before;
  opts.ctx_out = &ran.context;
  opts.ctx_size_out = sizeof ran.context;
  if (context.checksum_complete) opts.flags = kChecksumComplete;

  auto out = run(program, std::move(buffers), opts, "tc");
  if (!out) return std::unexpected{out.error()};
  ran.verdict = static_cast<std::int32_t>(opts.retval);
  ran.out = std::move(*out);
  return ran;
}

Result<XdpRan> run_xdp(int program, const Frame& in, const XdpContext& context) {
  xdp_md before{};
  before.data_end = static_cast<__u32>(in.bytes.size());
  before.ingress_ifindex = context.ingress_ifindex;

  LIBBPF_OPTS(bpf_test_run_opts, opts);
  Buffers buffers{in, opts};
  if (context.ingress_ifindex != 0) {
    opts.ctx_in = &before;
    opts.ctx_size_in = sizeof before;
  }
  auto out = run(program, std::move(buffers), opts, "XDP");
  if (!out) return std::unexpected{out.error()};
  return XdpRan{.verdict = opts.retval, .out = std::move(*out)};
}

}  // namespace weir::test
