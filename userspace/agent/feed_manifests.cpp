// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <utility>

#include "agent/feed.hpp"
#include "base/log.hpp"
#include "source/manifests/manifests.hpp"

namespace weir::agent {
namespace {

manifests::Options manifest_options(const Options& options) {
  manifests::Options to;
  to.paths = options.manifests;
  to.service_cidrs = options.service_cidrs;
  to.load_balancer_pools = options.load_balancer_pools;
  to.node_port_first = options.node_ports.first;
  to.node_port_last = options.node_ports.last;
  return to;
}

class ManifestFeed final : public Feed {
 public:
  ManifestFeed(EventLoop& loop, std::unique_ptr<manifests::Source> source)
      : loop_{loop}, source_{std::move(source)} {}

  Result<> follow(std::function<void()> changed) override {
    read_now_ = false;
    return loop_.watch(source_->fd(), [this, changed = std::move(changed)] {
      auto different = source_->refresh();
      if (!different) return log::error("read manifests: {}", different.error().message());
      if (!*different) return;
      read_now_ = true;
      changed();
      read_now_ = false;
    });
  }
  [[nodiscard]] Source& source() override { return *source_; }
  [[nodiscard]] FeedTiming timing() const override {
    if (!read_now_) return {};
    const auto timing = source_->timing();
    return {.read = timing.read, .assemble = timing.assemble};
  }

 private:
  EventLoop& loop_;
  std::unique_ptr<manifests::Source> source_;
  bool read_now_ = true;  // a publication is due to a refresh() of the source
};

}  // namespace

Result<std::unique_ptr<Feed>> open_manifests(EventLoop& loop, const Options& options) {
  auto source = manifests::Source::open(manifest_options(options));
  if (!source) return fail(std::move(source.error()), "read manifests");
  malloc_trim(0);  // of what it took to read them
  return std::make_unique<ManifestFeed>(loop, std::move(*source));
}

}  // namespace weir::agent
