// SPDX-License-Identifier: Apache-2.0
#include "kernel/attach.hpp"

#include <fcntl.h>
#include <linux/if_link.h>
#include <sched.h>

#include <filesystem>

#include "programs.hpp"
#include "sandbox.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

using kernel::Direction;
using kernel::Hook;
using kernel::kTcxEgress;
using kernel::kTcxIngress;
using kernel::Outcome;
using kernel::XdpMode;
using Ids = std::vector<std::uint32_t>;

// With a veth pair, veth1 of known index, and tcx in the kernel.
class AttachSandbox : public Sandbox {
 public:
  AttachSandbox() { run("ip link add veth1 index 77 type veth peer name veth2"); }
  static constexpr std::uint32_t kIfindex = 77;

  [[nodiscard]] bool pinned(const std::string& name) const {
    return std::filesystem::exists(links() + "/" + name);
  }
  [[nodiscard]] Result<Outcome> tcx(const UniqueFd& program, Direction direction,
                                    std::uint32_t ifindex = kIfindex) const {
    return kernel::attach_tcx(program.get(), ifindex, direction, links());
  }
  [[nodiscard]] Result<Outcome> xdp(const UniqueFd& program, XdpMode mode) const {
    return kernel::attach_xdp(program.get(), kIfindex, mode, links());
  }
  [[nodiscard]] std::vector<kernel::AttachedProgram> all() const {
    return kernel::list_links(links()).value();
  }
};

// The calling thread in another namespace, for a scope.
class Visit {
 public:
  explicit Visit(const std::string& name)
      : before_{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)} {
    const UniqueFd there{::open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC)};
    if (::setns(there.get(), CLONE_NEWNET) != 0) throw std::runtime_error{"visit " + name};
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  ~Visit() { static_cast<void>(::setns(before_.get(), CLONE_NEWNET)); }

 private:
  UniqueFd before_;
};

std::string xdp_of(const std::string& device) {
  const auto text = output_of("ip -details link show dev " + device);
  if (text.find("xdpgeneric") != std::string::npos) return "generic";
  return text.find(" xdp ") != std::string::npos || text.find("prog/xdp") != std::string::npos
             ? "native"
             : "none";
}

constexpr auto kIngress = Direction::ingress;
constexpr auto kEgress = Direction::egress;

}  // namespace

TEST_CASE("tcx programs are attached, kept, exchanged and taken off") {
  const AttachSandbox sandbox;
  const auto first = load_tc();
  const auto second = load_tc();
  CHECK(sandbox.tcx(first, kIngress) == Outcome::attached);
  CHECK(sandbox.tcx(first, kEgress) == Outcome::attached);
  CHECK(in_line(sandbox.kIfindex, kTcxIngress) == Ids{id_of(first)});
  CHECK(in_line(sandbox.kIfindex, kTcxEgress) == Ids{id_of(first)});
  CHECK(sandbox.pinned("77-tcx-ingress"));
  CHECK(sandbox.pinned("77-tcx-egress"));

  const auto before = sandbox.all();
  REQUIRE(before.size() == 2);
  CHECK(before[0].hook == Hook::tcx_ingress);
  CHECK(before[0].live);
  CHECK(before[0].prog_id == id_of(first));
  CHECK(sandbox.tcx(first, kIngress) == Outcome::unchanged);
  CHECK(sandbox.all() == before);

  CHECK(sandbox.tcx(second, kIngress) == Outcome::updated);
  CHECK(in_line(sandbox.kIfindex, kTcxIngress) == Ids{id_of(second)});
  CHECK(in_line(sandbox.kIfindex, kTcxEgress) == Ids{id_of(first)});
  CHECK(sandbox.all()[0].link_id == before[0].link_id);

  // Also while somebody, say bpftool, has the link open.
  const UniqueFd held{bpf_obj_get((sandbox.links() + "/77-tcx-ingress").c_str())};
  REQUIRE(kernel::detach({sandbox.kIfindex, Hook::tcx_ingress}, sandbox.links()));
  CHECK(in_line(sandbox.kIfindex, kTcxIngress).empty());
  CHECK_FALSE(sandbox.pinned("77-tcx-ingress"));
  CHECK(kernel::detach({sandbox.kIfindex, Hook::tcx_ingress}, sandbox.links()));
}

TEST_CASE("first in line at ingress, last at egress") {
  const AttachSandbox sandbox;
  const auto ours = load_tc();
  const auto theirs = load_tc();
  const auto more = load_tc();
  const auto a = stranger(theirs, sandbox.kIfindex, kTcxIngress);
  const auto b = stranger(more, sandbox.kIfindex, kTcxIngress);
  const auto c = stranger(theirs, sandbox.kIfindex, kTcxEgress);
  const auto d = stranger(more, sandbox.kIfindex, kTcxEgress);
  REQUIRE(sandbox.tcx(ours, kIngress));
  REQUIRE(sandbox.tcx(ours, kEgress));
  CHECK(in_line(sandbox.kIfindex, kTcxIngress) == Ids{id_of(ours), id_of(theirs), id_of(more)});
  CHECK(in_line(sandbox.kIfindex, kTcxEgress) == Ids{id_of(theirs), id_of(more), id_of(ours)});
}

TEST_CASE("a pin whose device is gone is replaced, or removed") {
  const AttachSandbox sandbox;
  const auto program = load_tc();
  REQUIRE(sandbox.tcx(program, kIngress));
  REQUIRE(sandbox.tcx(program, kEgress));
  run("ip link del veth1");
  REQUIRE(sandbox.all().size() == 2);
  CHECK_FALSE(sandbox.all()[0].live);

  SECTION("by a device of the same index") {
    run("ip link add veth1 index 77 type veth peer name veth2");
    CHECK(sandbox.tcx(program, kIngress) == Outcome::attached);
    CHECK(in_line(sandbox.kIfindex, kTcxIngress) == Ids{id_of(program)});
    CHECK(sandbox.all()[0].live);
  }
  SECTION("by name") {
    CHECK(kernel::detach({sandbox.kIfindex, Hook::tcx_egress}, sandbox.links()));
    CHECK(sandbox.all().size() == 1);
  }
  SECTION("with all that are gone") {
    run("ip link add veth3 index 78 type veth peer name veth4");
    REQUIRE(sandbox.tcx(program, kIngress, 78));
    const auto removed =
        kernel::detach_gone(sandbox.links(), [](std::uint32_t ifindex) { return ifindex == 78; });
    CHECK(removed == 2);
    REQUIRE(sandbox.all().size() == 1);
    CHECK(sandbox.all()[0].ifindex == 78);
    CHECK(sandbox.all()[0].live);
  }
}

TEST_CASE("a device that moves away takes no program of ours along") {
  AttachSandbox sandbox;
  const auto other = sandbox.another();
  const auto program = load_tc();
  REQUIRE(sandbox.tcx(program, kIngress));
  run("ip link set veth1 netns " + other);
  CHECK_FALSE(sandbox.all()[0].live);

  SECTION("its pin is removed") {
    CHECK(kernel::detach_gone(sandbox.links(), [](std::uint32_t) { return false; }) == 1);
    CHECK(sandbox.all().empty());
  }
  SECTION("its number is used again here") {
    run("ip link add veth3 index 77 type veth peer name veth4");
    CHECK_FALSE(sandbox.all()[0].live);
    CHECK(sandbox.tcx(program, kIngress) == Outcome::attached);
    CHECK(in_line(77, kTcxIngress) == Ids{id_of(program)});
    CHECK(sandbox.all()[0].live);
  }
  const Visit visit{other};
  REQUIRE(ifindex_of("veth1") == 77);  // the trap: the link names a device of this number
  CHECK(in_line(77, kTcxIngress).empty());
}

TEST_CASE("XDP programs are attached, kept, exchanged and taken off") {
  const AttachSandbox sandbox;
  const auto first = load_xdp();
  const auto second = load_xdp();
  CHECK(sandbox.xdp(first, XdpMode::native) == Outcome::attached);
  CHECK(xdp_of("veth1") == "native");
  const auto before = sandbox.all();
  REQUIRE(before.size() == 1);
  CHECK(before[0].live);
  CHECK(before[0].xdp_mode == XdpMode::native);
  CHECK(sandbox.xdp(first, XdpMode::native) == Outcome::unchanged);
  CHECK(sandbox.all() == before);
  CHECK(sandbox.xdp(second, XdpMode::native) == Outcome::updated);
  CHECK(sandbox.all()[0].link_id == before[0].link_id);
  CHECK(sandbox.all()[0].prog_id == id_of(second));

  CHECK(sandbox.xdp(second, XdpMode::generic) == Outcome::attached);
  CHECK(xdp_of("veth1") == "generic");
  CHECK(sandbox.all()[0].xdp_mode == XdpMode::generic);
  REQUIRE(kernel::detach({sandbox.kIfindex, Hook::xdp}, sandbox.links()));
  CHECK(xdp_of("veth1") == "none");
  CHECK(sandbox.all().empty());
}

TEST_CASE("XDP where it cannot be leaves nothing behind") {
  const AttachSandbox sandbox;
  const auto program = load_xdp();
  SECTION("somebody else's program") {
    const auto theirs = stranger(load_xdp(), sandbox.kIfindex, BPF_XDP, XDP_FLAGS_DRV_MODE);
    CHECK(sandbox.xdp(program, XdpMode::native).error().code() ==
          std::errc::device_or_resource_busy);
  }
  SECTION("a driver without it") {
    run("ip link del veth1 && ip link add br0 index 77 type bridge");
    CHECK(sandbox.xdp(program, XdpMode::native).error().code() ==
          std::errc::operation_not_supported);
    CHECK(sandbox.xdp(program, XdpMode::generic) == Outcome::attached);
    REQUIRE(kernel::detach({sandbox.kIfindex, Hook::xdp}, sandbox.links()));
  }
  SECTION("no such device") {
    run("ip link del veth1");
    CHECK_FALSE(sandbox.xdp(program, XdpMode::native));
  }
  CHECK(sandbox.all().empty());
}

TEST_CASE("a link that cannot be pinned is not left attached") {
  const AttachSandbox sandbox;
  const auto program = load_tc();
  const auto result =
      kernel::attach_tcx(program.get(), sandbox.kIfindex, kIngress, sandbox.links() + "/none");
  REQUIRE_FALSE(result);
  CHECK(result.error().message().find("pin link") != std::string::npos);
  CHECK(in_line(sandbox.kIfindex, kTcxIngress).empty());
}

TEST_CASE("a device that is not there") {
  const AttachSandbox sandbox;
  const auto result = sandbox.tcx(load_tc(), kIngress, 9999);
  REQUIRE_FALSE(result);
  CHECK(result.error().code() == std::errc::no_such_device);
  CHECK(result.error().message() == "attach to device 9999: No such device");
}

TEST_CASE("everything is taken off at the end, and only what is ours") {
  const AttachSandbox sandbox;
  const auto program = load_tc();
  const auto theirs = load_tc();
  const auto link = stranger(theirs, sandbox.kIfindex, kTcxIngress);
  REQUIRE(sandbox.tcx(program, kIngress));
  REQUIRE(sandbox.tcx(program, kEgress));
  REQUIRE(sandbox.xdp(load_xdp(), XdpMode::native));
  REQUIRE(kernel::attach_clsact(program.get(), ifindex_of("veth2"), kIngress, sandbox.links()));
  run("ip link add veth3 index 78 type veth peer name veth4");
  REQUIRE(sandbox.tcx(program, kIngress, 78));
  run("ip link del veth3");

  CHECK(kernel::detach_all(sandbox.links()) == 5);
  CHECK(std::filesystem::is_empty(sandbox.links()));
  CHECK(in_line(sandbox.kIfindex, kTcxIngress) == Ids{id_of(theirs)});
  CHECK(in_line(sandbox.kIfindex, kTcxEgress).empty());
  CHECK(xdp_of("veth1") == "none");
  CHECK(output_of("tc qdisc show").find("clsact") == std::string::npos);
  CHECK(kernel::detach_all(sandbox.links()) == 0);
  CHECK(kernel::detach_all(sandbox.links() + "/none") == 0);
}

TEST_CASE("this kernel has tcx if a program can be attached so") {
  const AttachSandbox sandbox;
  const auto has = kernel::has_tcx();
  REQUIRE(has);
  CHECK(*has == sandbox.tcx(load_tc(), kIngress).has_value());
  CHECK(in_line(ifindex_of("lo"), kTcxIngress).empty());
}

}  // namespace weir::node
