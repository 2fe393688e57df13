// SPDX-License-Identifier: Apache-2.0
// What the agent tells of itself to Prometheus: typed functions for its threads, and the text that
// a scrape gets. Names, labels and buckets are kube-proxy's where they have a meaning here;
// docs/OPERATING.md has them all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "kernel/pins.hpp"
#include "model/watch_end.hpp"
#include "serve/reply.hpp"

namespace weir::serve {

// What a source follows at the API.
enum class Watched : std::uint8_t { services, endpointslices, node };

using weir::WatchEnd;

enum class Probe : std::uint8_t { healthz, livez };

// Programs on devices of one kind.
struct AttachedDevices {
  std::string_view edge;  // "uplink", "pod"
  std::string_view mode;  // "tc"; uplinks with XDP too: "xdp-native", "xdp-generic"
  std::size_t devices = 0;
};

// Every function may be called from any thread and returns at once: what is held by a lock is a
// number's change. No function fails, and none throws.
class Metrics {
 public:
  using Date = std::chrono::system_clock::time_point;

  Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  ~Metrics();

  // ---- publications ----

  // Changes have come in. What is said here is pending until sync_done().
  void changed(std::size_t services, std::size_t endpoint_slices);
  void sync_began();
  void sync_done();
  void sync_failed();
  // Those endpoints.kubernetes.io/last-change-trigger-time whose change is in force now. One of
  // before this process was not kept waiting by it and does not count.
  void programmed(std::span<const Date> triggers);
  // Service ports that did not fit, and frontends that two of them claim: as of now.
  void refused(std::size_t services, std::size_t conflicts);
  // Entries of weir_address, of which there may be more than a scrape has time to count.
  void addresses(std::size_t count);
  // All there are now; what is not named is none.
  void attached(std::span<const AttachedDevices> kinds);

  // ---- probes, from the server's thread ----

  void answered(Probe probe, unsigned code);

  // ---- the API; without a call for a resource nothing is said of it ----

  void watch_connected(Watched resource, bool connected);
  void watch_heard(Watched resource);  // anything, a bookmark too
  void watch_listed(Watched resource);
  void watch_restarted(Watched resource, WatchEnd why);
  void watch_received(Watched resource, std::size_t bytes);

  // ---- what is read at each scrape ----

  // The tables at these pins, from now on; at most so many services by name. Before serving begins.
  Result<> read_tables(const kernel::Pins& pins, std::size_t services);
  // /metrics, /healthz, /proxyMode, as kube-proxy has them on its port for metrics. One thread.
  [[nodiscard]] Reply answer(std::string_view path) const;
  // The exposition format, version 0.0.4. One thread.
  [[nodiscard]] std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace weir::serve
