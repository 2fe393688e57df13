// SPDX-License-Identifier: Apache-2.0
#include "serve/process_metrics.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>

namespace weir::serve {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// proc(5), /proc/pid/stat: the number of a field counts from 1, and the name of the process, which
// may hold blanks, is the second.
enum Field : std::uint8_t { kUser = 14, kSystem = 15, kStart = 22, kVirtual = 23, kResident = 24 };

class Stat {
 public:
  static std::optional<Stat> read() {
    std::ifstream file{"/proc/self/stat"};
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    const auto name_end = line.rfind(')');
    if (name_end == line.npos) return std::nullopt;
    Stat stat;
    std::size_t at = name_end;
    for (auto& value : stat.from_third_) {
      at = line.find(' ', at);
      if (at == line.npos) return std::nullopt;
      ++at;
      std::from_chars(line.data() + at, line.data() + line.size(), value);
    }
    return stat;
  }

  [[nodiscard]] double of(Field field) const {
    return static_cast<double>(from_third_.at(field - std::size_t{3}));
  }

 private:
  std::array<std::uint64_t, kResident - 2> from_third_{};
};

// Of the machine's start, in Unix time.
std::optional<double> boot_seconds() {
  std::ifstream file{"/proc/stat"};
  for (std::string word; file >> word;)
    if (double seconds = 0; word == "btime" && file >> seconds) return seconds;
  return std::nullopt;
}

std::optional<double> open_descriptors() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{opendir("/proc/self/fd"), &closedir};
  if (!directory) return std::nullopt;
  double count = -1;  // the directory's own
  while (const auto* entry = readdir(directory.get()))
    if (std::string_view{static_cast<const char*>(entry->d_name)}.front() != '.') ++count;
  return count;
}

void add_stat(std::vector<MetricFamily>& families, const Stat& stat) {
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  families.push_back(counter_family("process_cpu_seconds_total",
                                    "CPU time of this process, user and system, in seconds",
                                    (stat.of(kUser) + stat.of(kSystem)) / ticks));
  families.push_back(gauge_family("process_resident_memory_bytes",
                                  "Memory of this process, with what it maps of the tables",
                                  stat.of(kResident) * static_cast<double>(sysconf(_SC_PAGESIZE))));
  families.push_back(gauge_family("process_virtual_memory_bytes", "Address space of this process",
                                  stat.of(kVirtual)));
  if (const auto boot = boot_seconds())
    families.push_back(gauge_family("process_start_time_seconds", "Start of this process",
                                    *boot + stat.of(kStart) / ticks));
}

}  // namespace

MetricFamily empty_family(std::string name, std::string help, MetricType type) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

void add_series(MetricFamily& family, Labels labels, double value) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter)
    metric.counter.value = value;
  else
    metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily gauge_family(std::string name, std::string help, double value) {
  auto family = empty_family(std::move(name), std::move(help), MetricType::Gauge);
  add_series(family, {}, value);
  return family;
}

MetricFamily counter_family(std::string name, std::string help, double value) {
  auto family = empty_family(std::move(name), std::move(help), MetricType::Counter);
  add_series(family, {}, value);
  return family;
}

std::vector<MetricFamily> ProcessMetrics::Collect() const {
  std::vector<MetricFamily> families;
  if (const auto stat = Stat::read()) add_stat(families, *stat);
  if (const auto open = open_descriptors())
    families.push_back(gauge_family("process_open_fds", "Open file descriptors", *open));
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    families.push_back(gauge_family("process_max_fds", "How many file descriptors may be open",
                                    static_cast<double>(limit.rlim_cur)));
  return families;
}

}  // namespace weir::serve
