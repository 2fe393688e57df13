// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "source/manifests/assemble.hpp"
#include "source/manifests/file.hpp"
#include "source/manifests/journal.hpp"
#include "source/manifests/listing.hpp"
#include "source/manifests/manifests.hpp"
#include "source/manifests/watch.hpp"

namespace weir::manifests {
namespace {

class FileSource final : public Source {
 public:
  FileSource(Options options, std::vector<Root> roots, std::unique_ptr<Watch> watch)
      : options_{std::move(options)}, roots_{std::move(roots)}, watch_{std::move(watch)} {}

  [[nodiscard]] int fd() const override { return watch_->fd(); }
  [[nodiscard]] const ClusterState& state() const override { return assembly_.state; }

  // Everything has to be readable the first time.
  Result<> start() {
    if (auto done = refresh(); !done) return std::unexpected{done.error()};
    for (const auto& [directory, why] : lost_) return fail("manifests {}: {}", directory, why);
    return {};
  }

  Result<bool> refresh() override {
    if (auto drained = watch_->drain(); !drained) return fail(drained.error(), "watch manifests");
    watch_->begin();
    Listing listing = list(roots_);
    // A directory is watched before it is listed for good: what appears between is not missed.
    if (listing.directories != watched_) {
      if (auto done = watch_->watch(listing.directories); !done) return complain(done.error());
      watched_ = std::move(listing.directories);
      listing = list(roots_);
    } else if (auto done = watch_->watch(watched_); !done) {
      return complain(done.error());
    }
    lost_ = std::move(listing.lost);
    const bool read = read_files(listing.files);
    const bool dropped = drop_files(listing.files);
    watch_->done();
    // What was completed while files were read woke us already, but may not have been read.
    watch_->wake_at(watch_->pending() ? Watch::Clock::now() : deadline());
    return update(read || dropped);
  }

 private:
  static Result<bool> complain(Error error) { return fail(std::move(error), "watch manifests"); }

  bool read_files(const std::map<std::string, std::string>& found) {
    bool changed = false;
    for (const auto& [path, target] : found) {
      gone_.erase(path);
      const bool force = watch_->completed(path) || watch_->completed(target);
      const auto complete = [this, &file = path, &real = target] {
        const auto now = Watch::Clock::now();
        return !watch_->being_written(file, now) && !watch_->being_written(real, now);
      };
      if (!complete()) continue;
      const auto [at, added] = files_.try_emplace(path, path);
      const auto still_complete = [&] { return watch_->drain().has_value() && complete(); };
      if (at->second.refresh(options_, force, still_complete)) changed = true;
    }
    return changed;
  }

  // A file that is gone may be back in a moment: editors move the old one away first. Of a
  // directory that is gone as a whole, the files stay as they were.
  bool drop_files(const std::map<std::string, std::string>& found) {
    const auto now = Watch::Clock::now();
    return std::erase_if(files_, [&](const auto& entry) {
             const std::string& path = entry.first;
             if (found.contains(path)) return false;
             const auto slash = path.rfind('/');
             if (lost_.contains(slash == std::string::npos ? "." : path.substr(0, slash))) {
               gone_.erase(path);
               return false;
             }
             const auto [at, added] = gone_.try_emplace(path, now + Watch::kSettle);
             if (at->second > now) return false;
             gone_.erase(at);
             return true;
           }) > 0;
  }

  [[nodiscard]] std::optional<Watch::Clock::time_point> deadline() const {
    auto first = watch_->first_deadline();
    for (const auto& [path, until] : gone_)
      if (!first || until < *first) first = until;
    return first;
  }

  // The state from the files as they are now. True if it is different.
  bool update(bool changed) {
    bool different = false;
    if (changed) {
      std::vector<ObjectPtr> objects;
      std::set<ObjectId> broken;
      // A file that seems gone comes last: if it was renamed, its objects are in another one.
      for (const bool gone : {false, true})
        for (const auto& [path, file] : files_) {
          if (gone_.contains(path) != gone) continue;
          objects.insert(objects.end(), file.objects().begin(), file.objects().end());
          broken.insert(file.broken().begin(), file.broken().end());
        }
      Assembly next = assemble(objects, broken, assembly_.in_force, options_);
      different = next.state != assembly_.state;
      assembly_ = std::move(next);
    }
    // Nothing to complain of yet: what excludes each other may be a file on the move.
    if (gone_.empty()) complaints_ = assembly_.lines;
    journal_.say(lines());
    return different;
  }

  [[nodiscard]] std::vector<Line> lines() const {
    std::vector<Line> lines;
    lines.reserve(lost_.size());
    for (const auto& [directory, why] : lost_)
      lines.push_back(
          {log::Level::warning, fmt::format("manifests: {}: {}; its last good state stays in force",
                                            printable(directory), why)});
    for (const auto& [path, file] : files_)
      lines.insert(lines.end(), file.lines().begin(), file.lines().end());
    lines.insert(lines.end(), complaints_.begin(), complaints_.end());
    return lines;
  }

  Options options_;
  std::vector<Root> roots_;
  std::unique_ptr<Watch> watch_;
  std::set<std::string> watched_;
  std::map<std::string, File> files_;                     // by path: the order in which they win
  std::map<std::string, Watch::Clock::time_point> gone_;  // and when that is believed
  std::map<std::string, std::string> lost_;               // directories, and why
  Assembly assembly_;
  std::vector<Line> complaints_;  // the assembly's, once no file is on the move
  Journal journal_;
};

}  // namespace

Result<std::unique_ptr<Source>> Source::open(Options options) {
  std::vector<Root> roots;
  for (const auto& path : options.paths) {
    auto root = Root::of(path);
    if (!root) return std::unexpected{root.error()};
    roots.push_back(std::move(*root));
  }
  auto watch = Watch::make();
  if (!watch) return fail(watch.error(), "manifests");
  auto source =
      std::make_unique<FileSource>(std::move(options), std::move(roots), std::move(*watch));
  if (auto started = source->start(); !started) return std::unexpected{started.error()};
  return source;
}

}  // namespace weir::manifests
