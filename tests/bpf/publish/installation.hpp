// SPDX-License-Identifier: Apache-2.0
// What an agent holds of the kernel: the objects on a pin path of their own, the tables, and what
// it believes to be in them.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "bpf/publish/scene.hpp"
#include "kernel/objects.hpp"
#include "kernel/tables.hpp"
#include "plan/reconcile.hpp"

namespace weir::test {

// The value, or an exception that ends the test.
template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error{result.error().message()};
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline constexpr Limits kSmall{.services = 64,
                               .backends = 768,
                               .slots = 512,
                               .flows = 1024,
                               .half_open = 8192,
                               .frontends = 256,
                               .addresses = 512};

kernel::DatapathSettings settings();

// /sys/fs/bpf/weirpub-<pid> on a bpf file system that only this process sees, so that it goes with
// the process however that ends.
class PinPath {
 public:
  PinPath();
  ~PinPath();
  PinPath(const PinPath&) = delete;
  PinPath& operator=(const PinPath&) = delete;

  [[nodiscard]] const kernel::Pins& pins() const { return pins_; }

 private:
  kernel::Pins pins_;
};

class Installation {
 public:
  using Execute = std::function<void(kernel::Tables&, const ProgrammedTables&, const Reconciled&)>;

  explicit Installation(const kernel::DatapathSettings& settings = test::settings());

  [[nodiscard]] const kernel::Pins& pins() const { return path_.pins(); }
  [[nodiscard]] int program(Side side) const;
  [[nodiscard]] int program(std::string_view name) const { return objects_.program(name); }
  [[nodiscard]] kernel::Tables& tables() { return tables_; }
  [[nodiscard]] const ProgrammedTables& programmed() const { return programmed_; }
  void take(ProgrammedTables tables) { programmed_ = std::move(tables); }

  // What would be done now; an exception if a service was refused.
  [[nodiscard]] Reconciled next(const ClusterState& cluster) const;
  void publish(const ClusterState& cluster) { publish(cluster, execute_all); }
  void publish(const ClusterState& cluster, const Execute& execute);
  void publish(const WantedTables& wanted, const Execute& execute);
  // Once more and again, until there is nothing to do: backends that are gone are freed.
  void settle(const ClusterState& cluster) { settle(cluster, execute_all); }
  void settle(const ClusterState& cluster, const Execute& execute);

  static void execute_all(kernel::Tables& tables, const ProgrammedTables& before,
                          const Reconciled& next);

 private:
  void describe_devices();
  [[nodiscard]] Reconciled next(const WantedTables& wanted) const;

  PinPath path_;
  kernel::Objects objects_;
  kernel::Tables tables_;
  ProgrammedTables programmed_;
};

}  // namespace weir::test
