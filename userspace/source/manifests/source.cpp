// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <utility>

#include "source/manifests/file.hpp"
#include "source/manifests/journal.hpp"
#include "source/manifests/listing.hpp"
#include "source/manifests/manifests.hpp"
#include "source/manifests/register.hpp"
#include "source/manifests/watch.hpp"

namespace weir::manifests {
namespace {

class FileSource final : public Source {
 public:
  FileSource(Options options, std::vector<Root> roots, std::unique_ptr<Watch> watch)
      : options_{std::move(options)}, roots_{std::move(roots)}, watch_{std::move(watch)} {}

  FileSource(const FileSource&) = delete;  // register_ refers to options_
  FileSource& operator=(const FileSource&) = delete;

  [[nodiscard]] int fd() const override { return watch_->fd(); }
  [[nodiscard]] const ClusterState& state() const override { return register_.state(); }
  StateChanges take_changes() override { return std::exchange(changes_, {}); }
  [[nodiscard]] Timing timing() const override { return timing_; }

  // Everything has to be readable the first time.
  Result<> start() {
    if (auto done = refresh(); !done) return std::unexpected{done.error()};
    for (const auto& [directory, why] : lost_) return fail("manifests {}: {}", directory, why);
    return {};
  }

  Result<bool> refresh() override {
    const auto begin = Watch::Clock::now();
    const bool knew_all = std::exchange(knows_all_, false);  // as long as something may fail
    if (auto drained = watch_->drain(); !drained) return fail(drained.error(), "watch manifests");
    watch_->begin();
    removed_.clear();
    added_.clear();
    whole_ = false;
    if (auto done = look(knew_all); !done) return std::unexpected{done.error()};
    knows_all_ = true;
    watch_->done();
    // What happened while files were read woke us already, but may not have been looked at.
    watch_->wake_at(watch_->pending() ? Watch::Clock::now() : deadline());
    const auto read = Watch::Clock::now();
    const bool different = update();
    timing_ = {.read = read - begin, .assemble = Watch::Clock::now() - read};
    return different;
  }

 private:
  // Looks at the files that something happened to, or at all of them where that is not known.
  Result<> look(bool knew_all) {
    if (const auto some = knew_all ? changed_paths() : std::nullopt) {
      std::map<std::string, std::string> files;
      for (const auto& path : some->files) files.emplace(path, path);
      read_files(files);
      drop_files(some->missing);
      return {};
    }
    auto files = list_all();
    if (!files) return std::unexpected{std::move(files.error())};
    read_files(*files);
    std::set<std::string> missing;
    for (const auto& [path, file] : files_)
      if (!files->contains(path)) missing.insert(path);
    drop_files(missing);
    return {};
  }

  [[nodiscard]] std::optional<Glance> changed_paths() const {
    if (links_ || !lost_.empty()) return std::nullopt;
    auto paths = watch_->touched();
    if (!paths) return std::nullopt;
    auto some = glance(roots_, *paths);
    if (some)
      for (const auto& [path, until] : gone_)
        if (!some->files.contains(path)) some->missing.insert(path);
    return some;
  }

  Result<std::map<std::string, std::string>> list_all() {
    Listing listing = list(roots_);
    // A directory is watched before it is listed for good: what appears between is not missed.
    if (listing.directories != watched_) {
      if (auto done = watch_->watch(listing.directories); !done)
        return fail(done.error(), "watch manifests");
      watched_ = std::move(listing.directories);
      listing = list(roots_);
    } else if (auto done = watch_->watch(watched_); !done) {
      return fail(done.error(), "watch manifests");
    }
    lost_ = std::move(listing.lost);
    links_ = std::ranges::any_of(listing.files,
                                 [](const auto& file) { return file.first != file.second; });
    return std::move(listing.files);
  }

  void read_files(const std::map<std::string, std::string>& found) {
    for (const auto& [path, target] : found) {
      gone_.erase(path);
      const bool force = watch_->completed(path) || watch_->completed(target);
      const auto complete = [this, &file = path, &real = target] {
        const auto now = Watch::Clock::now();
        return !watch_->being_written(file, now) && !watch_->being_written(real, now);
      };
      if (!complete()) continue;
      const auto [at, added] = files_.try_emplace(path, path);
      File& file = at->second;
      const auto still_complete = [&] { return watch_->drain().has_value() && complete(); };
      const auto before = file.objects();
      const auto broken = file.broken();
      if (!file.refresh(options_, force, still_complete)) continue;
      note(before, file.objects());
      whole_ = whole_ || broken != file.broken();
      note_lines(path, file);
    }
  }

  // What of a file's objects is another than before.
  void note(std::vector<ObjectPtr> before, std::vector<ObjectPtr> after) {
    std::ranges::sort(before);
    std::ranges::sort(after);
    std::ranges::set_difference(before, after, std::back_inserter(removed_));
    std::ranges::set_difference(after, before, std::back_inserter(added_));
  }

  void note_lines(const std::string& path, const File& file) {
    if (file.lines().empty())
      complaining_.erase(path);
    else
      complaining_.insert(path);
  }

  // A file that is gone may be back in a moment: editors move the old one away first. Of a
  // directory that is gone as a whole, the files stay as they were.
  void drop_files(const std::set<std::string>& missing) {
    const auto now = Watch::Clock::now();
    for (const auto& path : missing) {
      const auto file = files_.find(path);
      if (file == files_.end()) continue;
      const auto slash = path.rfind('/');
      if (lost_.contains(slash == std::string::npos ? "." : path.substr(0, slash))) {
        gone_.erase(path);
        continue;
      }
      const auto [at, added] = gone_.try_emplace(path, now + Watch::kSettle);
      if (at->second > now) continue;
      gone_.erase(at);
      note(file->second.objects(), {});
      whole_ = whole_ || !file->second.broken().empty();
      complaining_.erase(path);
      files_.erase(file);
    }
  }

  [[nodiscard]] std::optional<Watch::Clock::time_point> deadline() const {
    auto first = watch_->first_deadline();
    for (const auto& [path, until] : gone_)
      if (!first || until < *first) first = until;
    return first;
  }

  // The state from the files as they are now. True if it is different.
  bool update() {
    const bool some = !removed_.empty() || !added_.empty();
    if (whole_ || (some && !register_.exchange(removed_, added_))) assemble();
    // Nothing to complain of yet: what excludes each other may be a file on the move.
    if (gone_.empty()) complaints_ = register_.lines();
    journal_.say(lines());
    StateChanges fresh = register_.take_changes();
    const bool different = !fresh.empty();
    changes_.merge(std::move(fresh));
    return different;
  }

  void assemble() {
    std::vector<ObjectPtr> objects;
    std::set<ObjectId> broken;
    // A file that seems gone comes last: if it was renamed, its objects are in another one.
    for (const bool gone : {false, true})
      for (const auto& [path, file] : files_) {
        if (gone_.contains(path) != gone) continue;
        objects.insert(objects.end(), file.objects().begin(), file.objects().end());
        broken.insert(file.broken().begin(), file.broken().end());
      }
    register_.assemble(objects, broken);
  }

  [[nodiscard]] std::vector<Line> lines() const {
    std::vector<Line> lines;
    lines.reserve(lost_.size());
    for (const auto& [directory, why] : lost_)
      lines.push_back(
          {log::Level::warning, fmt::format("manifests: {}: {}; its last good state stays in force",
                                            printable(directory), why)});
    for (const auto& path : complaining_) {
      const auto& of_file = files_.at(path).lines();
      lines.insert(lines.end(), of_file.begin(), of_file.end());
    }
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
  bool knows_all_ = false;             // nothing is other than in files_ but what events tell
  bool links_ = false;                 // some files are reached by symbolic links
  std::set<std::string> complaining_;  // files with lines
  std::vector<ObjectPtr> removed_;     // by this refresh()
  std::vector<ObjectPtr> added_;
  bool whole_ = false;  // exchanging them is not enough
  Register register_{options_};
  StateChanges changes_;          // that nobody took yet
  std::vector<Line> complaints_;  // the register's, once no file is on the move
  Timing timing_;
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
