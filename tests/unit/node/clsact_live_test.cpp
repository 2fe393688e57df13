// SPDX-License-Identifier: Apache-2.0
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/unique_fd.hpp"
#include "kernel/attach.hpp"
#include "programs.hpp"
#include "sandbox.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

using kernel::Direction;
using kernel::Hook;
using kernel::Outcome;

constexpr auto kIngress = Direction::ingress;
constexpr auto kEgress = Direction::egress;
std::string filters(const std::string& side) {
  return output_of("tc filter show dev veth1 " + side);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool has_qdisc() {
  return has(output_of("tc qdisc show dev veth1"), "clsact");
}

class ClsactSandbox : public Sandbox {
 public:
  ClsactSandbox() {
    run("ip link add veth1 type veth peer name veth2");
    ifindex = ifindex_of("veth1");
  }
  // Pins::links() of a pin path below the sandbox's directory; nothing need be there.
  [[nodiscard]] std::string pins(const std::string& path) const {
    return links() + "/" + path + "/v1/links";
  }
  [[nodiscard]] Result<Outcome> attach(const UniqueFd& program, Direction side) const {
    return kernel::attach_clsact(program.get(), ifindex, side, own);
  }
  std::uint32_t ifindex = 0;
  std::string own = pins("weir");
};

// The calling thread has the BPF file system at a second place, as a container has it.
class MountedTwice {
 public:
  MountedTwice() : before_{::open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC)} {
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
    REQUIRE(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    REQUIRE(::mount("/sys/fs/bpf", kPlace, nullptr, MS_BIND, nullptr) == 0);
  }
  MountedTwice(const MountedTwice&) = delete;
  MountedTwice& operator=(const MountedTwice&) = delete;
  ~MountedTwice() { ::setns(before_.get(), CLONE_NEWNS); }

  [[nodiscard]] static std::string there(const std::string& path) {
    return kPlace + path.substr(std::string{"/sys/fs/bpf"}.size());
  }

 private:
  static constexpr const char* kPlace = "/mnt";
  UniqueFd before_;
};

// Somebody else's filter, in a clsact that somebody else made.
void attach_stranger(std::uint32_t ifindex, std::uint32_t handle, std::uint32_t priority) {
  const auto program = load_tc();
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(ifindex);
  hook.attach_point = BPF_TC_INGRESS;
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.prog_fd = program.get();
  options.handle = handle;
  options.priority = priority;
  if (bpf_tc_hook_create(&hook) != 0 || bpf_tc_attach(&hook, &options) != 0)
    throw std::runtime_error{"attach somebody else's filter"};
}

int printed = 0;
int count_print(libbpf_print_level, const char*, va_list) {
  return ++printed;
}

}  // namespace

TEST_CASE("clsact filters are attached, kept, exchanged and taken off") {
  const ClsactSandbox sandbox;
  const auto first = load_tc();
  const auto second = load_tc();
  CHECK(sandbox.attach(first, kIngress) == Outcome::attached);
  CHECK(sandbox.attach(first, kEgress) == Outcome::attached);
  CHECK(has(filters("ingress"), "pref 1 "));
  CHECK(has(filters("ingress"), "direct-action"));
  CHECK(has(filters("egress"), "pref 65535 "));

  CHECK(sandbox.attach(first, kIngress) == Outcome::unchanged);
  CHECK(sandbox.attach(second, kIngress) == Outcome::updated);
  const auto found = kernel::list_clsact(sandbox.own);
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  CHECK((*found)[0].hook == Hook::clsact_ingress);
  CHECK((*found)[0].prog_id == id_of(second));
  CHECK((*found)[1].prog_id == id_of(first));
  CHECK((*found)[0].ifindex == sandbox.ifindex);

  REQUIRE(kernel::detach({sandbox.ifindex, Hook::clsact_ingress}, sandbox.own));
  CHECK(filters("ingress").empty());
  CHECK(has_qdisc());  // the other side is still in use
  REQUIRE(kernel::detach({sandbox.ifindex, Hook::clsact_egress}, sandbox.own));
  CHECK_FALSE(has_qdisc());
  CHECK(kernel::detach({sandbox.ifindex, Hook::clsact_egress}, sandbox.own));
}

TEST_CASE("filters of others stay, and the qdisc for them") {
  const ClsactSandbox sandbox;
  // At another priority, or at ours with another handle.
  const auto priority = GENERATE(1U, 5U);
  attach_stranger(sandbox.ifindex, 1, priority);
  CHECK(kernel::list_clsact(sandbox.own).value().empty());
  const auto program = load_tc();
  CHECK(sandbox.attach(program, kIngress) == Outcome::attached);
  CHECK(sandbox.attach(program, kEgress) == Outcome::attached);
  CHECK(kernel::list_clsact(sandbox.own).value().size() == 2);
  CHECK(kernel::detach_all(sandbox.own) == 2);
  CHECK(has_qdisc());
  CHECK(has(filters("ingress"), "handle 0x1 "));
  CHECK(kernel::list_clsact(sandbox.own).value().empty());
}

TEST_CASE("filters of another pin path stay, wherever that is mounted") {
  const ClsactSandbox sandbox;
  const auto program = load_tc();
  const auto other = sandbox.pins("other");
  CHECK(sandbox.attach(program, kIngress) == Outcome::attached);
  CHECK(kernel::attach_clsact(program.get(), sandbox.ifindex, kIngress, other) ==
        Outcome::attached);
  CHECK(kernel::detach_all(other) == 1);
  CHECK(kernel::list_clsact(other).value().empty());
  CHECK(kernel::list_clsact(sandbox.own).value().size() == 1);
  const MountedTwice mounted;
  CHECK(kernel::list_clsact(MountedTwice::there(sandbox.own)).value().size() == 1);
  CHECK(kernel::detach_all(MountedTwice::there(other)) == 0);
  CHECK(kernel::detach_all(MountedTwice::there(sandbox.own)) == 1);
  CHECK_FALSE(has_qdisc());
}

TEST_CASE("clsact without a device") {
  const ClsactSandbox sandbox;
  const auto result = kernel::attach_clsact(load_tc().get(), 9999, kIngress, sandbox.own);
  REQUIRE_FALSE(result);
  CHECK(kernel::detach({9999, Hook::clsact_ingress}, sandbox.own));
}

TEST_CASE("looking for filters says nothing on the terminal") {
  const ClsactSandbox sandbox;
  printed = 0;
  const auto before = libbpf_set_print(count_print);
  REQUIRE(kernel::list_clsact(sandbox.own));
  REQUIRE(sandbox.attach(load_tc(), kIngress));
  REQUIRE(sandbox.attach(load_tc(), kIngress));
  REQUIRE(kernel::detach_all(sandbox.own));
  CHECK(printed == 0);
  CHECK(libbpf_set_print(before) == count_print);
}

}  // namespace weir::node
