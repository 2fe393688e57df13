// SPDX-License-Identifier: Apache-2.0
#include "bpf/publish/installation.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "bpf/topology.hpp"

namespace weir::test {
namespace {

std::string private_path() {
  static const bool mounted = [] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr) != 0)
      throw std::system_error{errno, std::generic_category(), "mount a private bpffs"};
    return true;
  }();
  static_cast<void>(mounted);
  return fmt::format("/sys/fs/bpf/weirpub-{}", ::getpid());
}

kernel::Pins made_pins() {
  enter_topology();
  kernel::Pins pins{private_path()};
  need(pins.create());
  return pins;
}

}  // namespace

kernel::DatapathSettings settings() {
  kernel::DatapathSettings to;
  to.source_ports = {{.first = 1024, .count = 60'000}};
  return to;
}

PinPath::PinPath() : pins_{made_pins()} {}

PinPath::~PinPath() {
  std::error_code ignored;
  std::filesystem::remove_all(pins_.path(), ignored);
}

Installation::Installation(const kernel::DatapathSettings& settings)
    : objects_{need(kernel::Objects::load(pins(), kSmall, settings))},
      tables_{need(kernel::Tables::open(pins()))} {
  describe_devices();
  programmed_ = need(tables_.adopt());
}

// What source NAT calls this node.
void Installation::describe_devices() {
  auto devices = need(kernel::Map<__u32, weir_device>::open(pins(), "weir_device"));
  const weir_device up{.source4 = Address::parse(kV4.node)->raw(),
                       .source6 = Address::parse(kV6.node)->raw(),
                       .bridge = 0,
                       .flags = WEIR_DEVICE_ETHERNET};
  need(devices.put(ifindex(Device::kUp0), up));
  need(devices.put(ifindex(Device::kPod0), up));
}

int Installation::program(Side side) const {
  return program(side == Side::kUplink ? "weir_up_in" : "weir_pod_in");
}

Reconciled Installation::next(const ClusterState& cluster) const {
  return next(plan(cluster, node_view()));
}

Reconciled Installation::next(const WantedTables& wanted) const {
  auto next = reconcile(programmed_, wanted, kSmall,
                        [this](std::uint32_t index) { return tables_.live_flows(index); });
  if (!next.refused.empty()) throw std::runtime_error{next.refused.front().reason};
  return next;
}

void Installation::execute_all(kernel::Tables& tables, const ProgrammedTables&,
                               const Reconciled& next) {
  need(tables.execute(next.operations));
}

void Installation::publish(const ClusterState& cluster, const Execute& execute) {
  publish(plan(cluster, node_view()), execute);
}

void Installation::publish(const WantedTables& wanted, const Execute& execute) {
  auto to = next(wanted);
  execute(tables_, programmed_, to);
  programmed_ = std::move(to.tables);
}

void Installation::settle(const ClusterState& cluster, const Execute& execute) {
  constexpr int kEnough = 4;
  const auto wanted = plan(cluster, node_view());
  for (int i = 0; i < kEnough; ++i) {
    auto to = next(wanted);
    if (to.operations.empty()) return;
    execute(tables_, programmed_, to);
    programmed_ = std::move(to.tables);
  }
  throw std::runtime_error{"reconcile does not come to rest"};
}

}  // namespace weir::test
