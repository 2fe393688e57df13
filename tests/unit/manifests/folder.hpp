// SPDX-License-Identifier: Apache-2.0
// A directory of manifests for one test, a source that reads it, and what that said.
#pragma once

#include <poll.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "source/manifests/manifests.hpp"
#include "support/catch.hpp"

namespace weir::test {

// Collects log lines as long as it lives.
class Lines {
 public:
  Lines() {
    log::set_level(log::Level::debug);
    log::set_sink([this](log::Level level, std::string_view text) {
      auto& to = level >= log::Level::warning ? warnings : infos;
      to.emplace_back(text);
    });
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() {
    log::set_sink({});
    log::set_level(log::Level::info);
  }
  std::vector<std::string> take_warnings() { return std::exchange(warnings, {}); }

  std::vector<std::string> warnings;
  std::vector<std::string> infos;
};

class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "weir-manifests-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    base_ = pattern;
    std::filesystem::create_directory(path());
    options.paths = {path()};
    options.service_cidrs = {Cidr::parse("10.96.0.0/16").value()};
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(base_, ignored);
  }

  // The directory itself, and one beside it for what is to be moved in.
  [[nodiscard]] std::string path() const { return base_ + "/manifests"; }
  [[nodiscard]] std::string base() const { return base_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path() + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream{file(name), std::ios::binary} << text;
  }

  void open() {
    auto opened = manifests::Source::open(options);
    REQUIRE(opened);
    source = std::move(*opened);
  }
  // Follows events until the condition holds. False after two seconds (only a failure waits).
  template <class Condition>
  bool until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    while (!condition()) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      pollfd fd{source->fd(), POLLIN, 0};
      if (::poll(&fd, 1, static_cast<int>(left.count())) == 1) REQUIRE(source->refresh());
    }
    return true;
  }
  // Follows events until nothing more comes for a while.
  void settle(int quiet_ms = 120) {
    pollfd fd{source->fd(), POLLIN, 0};
    while (::poll(&fd, 1, quiet_ms) == 1) REQUIRE(source->refresh());
  }

  [[nodiscard]] const ClusterState& state() const { return source->state(); }
  [[nodiscard]] bool has(const std::string& name, const std::string& ns = "default") const {
    return state().services.contains({ns, name});
  }
  [[nodiscard]] const Service& service(const std::string& name,
                                       const std::string& ns = "default") const {
    const auto found = state().services.find({ns, name});
    REQUIRE(found != state().services.end());
    return found->second;
  }

  manifests::Options options;
  std::unique_ptr<manifests::Source> source;

 private:
  std::string base_;
};

inline std::string service_text(const std::string& name, const std::string& spec) {
  return "apiVersion: v1\nkind: Service\nmetadata:\n  name: " + name + "\nspec:\n" + spec;
}
// One that needs nothing but a cluster IP.
inline std::string service_text(const std::string& name) {
  return service_text(name, "  ports: [{port: 80}]\n");
}

inline std::string pod_text(const std::string& name, const std::string& labels,
                            const std::string& ip, const std::string& more_status = "") {
  return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\n  labels: " + labels +
         "\nspec:\n  nodeName: node-a\nstatus:\n  podIP: " + ip + "\n" + more_status;
}

inline std::vector<std::string> texts(const std::vector<Address>& addresses) {
  std::vector<std::string> result;
  for (const auto& address : addresses) result.push_back(address.to_string());
  return result;
}

}  // namespace weir::test
