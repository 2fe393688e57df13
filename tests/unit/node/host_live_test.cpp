// SPDX-License-Identifier: Apache-2.0
// Programs on a cgroup of the test's own, and connected UDP sockets that are ended.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>

#include "kernel/cgroup.hpp"
#include "node/udp_sockets.hpp"
#include "sandbox.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

using kernel::Outcome;

// An empty cgroup: no process comes into it, so nothing that hangs on it is ever run.
class EmptyCgroup {
 public:
  explicit EmptyCgroup(const std::string& name)
      : path_{kernel::find_cgroup().value().path + "/" + name} {
    if (::mkdir(path_.c_str(), 0700) != 0) throw std::runtime_error{path_};
  }
  EmptyCgroup(const EmptyCgroup&) = delete;
  EmptyCgroup& operator=(const EmptyCgroup&) = delete;
  ~EmptyCgroup() { remove(); }
  void remove() { ::rmdir(path_.c_str()); }

  [[nodiscard]] const std::string& path() const { return path_; }
  // Programs on it, counted by bpftool.
  [[nodiscard]] std::size_t programs() const {
    return std::stoul(
        output_of("bpftool -j cgroup show " + path_ + " | grep -o '\"id\":' | wc -l"));
  }

 private:
  std::string path_;
};

// Programs that allow everything, one for each hook.
class Programs {
 public:
  Programs() {
    constexpr std::array<bpf_insn, 2> kCode{{
        {.code = BPF_ALU64 | BPF_MOV | BPF_K,
         .dst_reg = BPF_REG_0,
         .src_reg = 0,
         .off = 0,
         .imm = 1},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    }};
    for (const auto& hook : kernel::socket_hooks()) {
      LIBBPF_OPTS(bpf_prog_load_opts, options);
      options.expected_attach_type = static_cast<bpf_attach_type>(hook.type);
      const auto type = hook.type == BPF_CGROUP_INET_SOCK_RELEASE ? BPF_PROG_TYPE_CGROUP_SOCK
                                                                  : BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
      UniqueFd fd{
          bpf_prog_load(type, "weirnode_test", "GPL", kCode.data(), kCode.size(), &options)};
      REQUIRE(fd);
      programs_.emplace(hook.program, std::move(fd));
    }
  }
  [[nodiscard]] kernel::ProgramOf all() const {
    return [this](std::string_view name) { return programs_.at(name).get(); };
  }
  [[nodiscard]] kernel::ProgramOf all_but(std::string_view missing) const {
    return [this, missing](std::string_view name) {
      return name == missing ? -1 : programs_.at(name).get();
    };
  }

 private:
  std::map<std::string_view, UniqueFd> programs_;
};

std::uint64_t cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  REQUIRE(::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0);
  return cookie;
}

UniqueFd connected(int family, int type, const char* ip, std::uint16_t port) {
  UniqueFd fd{::socket(family, type | SOCK_CLOEXEC, 0)};
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  const bool v4 = family == AF_INET;
  REQUIRE(::inet_pton(family, ip, v4 ? static_cast<void*>(&in.sin_addr) : &in6.sin6_addr) == 1);
  const auto* to = v4 ? reinterpret_cast<const sockaddr*>(&in) : reinterpret_cast<sockaddr*>(&in6);
  REQUIRE(::connect(fd.get(), to, v4 ? sizeof in : sizeof in6) == 0);
  return fd;
}

// How a socket's connection ended: 0, it has not.
int ending(const UniqueFd& fd) {
  char byte = 0;
  return ::recv(fd.get(), &byte, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN ? errno : 0;
}

}  // namespace

TEST_CASE("programs of the host edge are attached, kept, exchanged and taken off") {
  const Sandbox sandbox;
  EmptyCgroup cgroup{sandbox.name()};
  const Programs first;
  CHECK(kernel::attach_cgroup(cgroup.path(), first.all(), sandbox.links()) == Outcome::attached);
  CHECK(cgroup.programs() == 9);
  const auto before = kernel::list_cgroup(sandbox.links()).value();
  REQUIRE(before.size() == 9);
  CHECK(before[8].hook == "connect6");
  CHECK(before[0].cgroup == kernel::find_cgroup(cgroup.path())->id);

  CHECK(kernel::attach_cgroup(cgroup.path(), first.all(), sandbox.links()) == Outcome::unchanged);
  CHECK(kernel::list_cgroup(sandbox.links()) == before);

  const Programs second;
  CHECK(kernel::attach_cgroup(cgroup.path(), second.all(), sandbox.links()) == Outcome::updated);
  CHECK(cgroup.programs() == 9);
  CHECK(kernel::list_cgroup(sandbox.links()).value()[0].prog_id != before[0].prog_id);

  SECTION("off, also while somebody holds a link open") {
    const UniqueFd held{bpf_obj_get((sandbox.links() + "/cgroup-connect4").c_str())};
    REQUIRE(held);
    CHECK(kernel::detach_cgroup(sandbox.links()) == 9);
    CHECK(cgroup.programs() == 0);
    CHECK(kernel::list_cgroup(sandbox.links()).value().empty());
    CHECK(kernel::detach_cgroup(sandbox.links()) == 0);
  }
  SECTION("to another cgroup") {
    const EmptyCgroup other{sandbox.name() + "-other"};
    CHECK(kernel::attach_cgroup(other.path(), second.all(), sandbox.links()) == Outcome::attached);
    CHECK(cgroup.programs() == 0);
    CHECK(other.programs() == 9);
  }
  SECTION("all or none") {
    const EmptyCgroup other{sandbox.name() + "-other"};
    CHECK_FALSE(
        kernel::attach_cgroup(other.path(), second.all_but("weir_connect6"), sandbox.links()));
    CHECK(other.programs() == 0);
    CHECK(std::filesystem::is_empty(sandbox.links()));
  }
  SECTION("a cgroup that went") {
    cgroup.remove();
    REQUIRE(kernel::list_cgroup(sandbox.links()));
    const auto gone = [&] { return kernel::list_cgroup(sandbox.links()).value()[0].cgroup == 0; };
    for (int i = 0; i < 100 && !gone(); ++i)
      ::usleep(10'000);  // the kernel does it in the background
    CHECK(gone());
    CHECK(kernel::detach_cgroup(sandbox.links()) == 9);
  }
}

TEST_CASE("several agents on one cgroup") {
  const Sandbox one;
  const Sandbox two;
  const EmptyCgroup cgroup{one.name()};
  const Programs programs;
  REQUIRE(kernel::attach_cgroup(cgroup.path(), programs.all(), one.links()));
  REQUIRE(kernel::attach_cgroup(cgroup.path(), programs.all(), two.links()));
  CHECK(cgroup.programs() == 18);
  CHECK(kernel::detach_cgroup(one.links()) == 9);
  CHECK(cgroup.programs() == 9);
}

TEST_CASE("each network namespace has a cookie of its own") {
  const auto before = kernel::netns_cookie().value();
  const Sandbox sandbox;
  CHECK(kernel::netns_cookie().value() != before);
  CHECK(kernel::netns_cookie().value() != 0);
}

TEST_CASE("UDP connections are found by their cookie, and ended") {
  const Sandbox sandbox;
  const auto ended4 = connected(AF_INET, SOCK_DGRAM, "127.0.0.1", 5300);
  const auto ended6 = connected(AF_INET6, SOCK_DGRAM, "::1", 5300);
  const auto mapped = connected(AF_INET6, SOCK_DGRAM, "::ffff:127.0.0.1", 5300);
  const auto bystander = connected(AF_INET, SOCK_DGRAM, "127.0.0.1", 5300);
  const auto elsewhere = connected(AF_INET, SOCK_DGRAM, "127.0.0.1", 5301);
  const UniqueFd unconnected{::socket(AF_INET, SOCK_DGRAM, 0)};

  const Address v4 = *Address::parse("127.0.0.1");
  const std::set<UdpConnection> wanted{{cookie_of(ended4.get()), v4, 5300},
                                       {cookie_of(ended6.get()), *Address::parse("::1"), 5300},
                                       {cookie_of(mapped.get()), v4, 5300},
                                       {cookie_of(elsewhere.get()), v4, 5300},
                                       {cookie_of(unconnected.get()), v4, 5300}};
  const auto all = connected_udp_sockets();
  REQUIRE(all);
  CHECK(all->size() == 5);
  const auto selected =
      select_sockets(*all, std::vector<UdpConnection>(wanted.begin(), wanted.end()));
  CHECK(selected.size() == 3);
  REQUIRE(end_connections(selected));
  CHECK(ending(ended4) == ECONNABORTED);
  CHECK(ending(ended6) == ECONNABORTED);
  CHECK(ending(mapped) == ECONNABORTED);
  CHECK(ending(bystander) == 0);
  CHECK(ending(elsewhere) == 0);
  CHECK(end_connections(selected));  // gone by themselves
}

}  // namespace weir::node
