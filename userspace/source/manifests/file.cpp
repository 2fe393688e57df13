// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/unique_fd.hpp"
#include "source/manifests/readers.hpp"

namespace weir::manifests {
namespace {

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

Result<std::string> read_all(int fd, std::int64_t size) {
  std::string content;
  content.resize(static_cast<std::size_t>(size));
  std::size_t filled = 0;
  // To its end, not its size: it may have grown meanwhile.
  while (filled <= static_cast<std::size_t>(File::kMaxSize)) {
    if (filled == content.size()) content.resize(filled + 65'536);
    const ssize_t n = ::read(fd, content.data() + filled, content.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno, "read");
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  if (filled > static_cast<std::size_t>(File::kMaxSize)) return fail("grew too large");
  content.resize(filled);
  return content;
}

// Parsed, not yet merged with what was there before.
struct Content {
  std::vector<Outcome> outcomes;
  std::vector<Line> lines;
  bool valid = true;  // no syntax error
};

void take(Content& content, const std::shared_ptr<const std::string>& path, unsigned document,
          Outcome outcome) {
  for (const auto& problem : outcome.problems)
    content.lines.push_back(
        {log::Level::warning, placed({path, document, problem.line}, problem.text)});
  if (!outcome.skipped.empty())
    content.lines.push_back({log::Level::info, placed({path, document, outcome.line},
                                                      outcome.skipped + " is not read by weir")});
  content.outcomes.push_back(std::move(outcome));
}

Content parse(const std::shared_ptr<const std::string>& path, std::string_view text,
              const Options& options) {
  Content content;
  DocumentReader reader{path, options, [&](unsigned document, Outcome outcome) {
                          take(content, path, document, std::move(outcome));
                        }};
  const DocumentSink sink = [&](unsigned document, const Value& root) {
    reader.document(document, root);
  };
  const ItemSink items = [&](unsigned document, std::size_t index, const Value& value) {
    reader.item(document, index, value);
  };
  const auto error =
      path->ends_with(".json") ? parse_json(text, sink, items) : parse_yaml(text, sink, items);
  if (!error) return content;
  content.valid = false;
  // Of a file that is cut somewhere, the rest of the complaints would be guesses.
  content.lines = {
      {log::Level::warning, placed({path, error->document, error->line}, error->text)}};
  return content;
}

// The new objects, and the old ones in place of what is broken now.
std::vector<ObjectPtr> with_last_good(const std::vector<Outcome>& outcomes,
                                      const std::vector<ObjectPtr>& before) {
  std::set<ObjectId> present;
  for (const auto& outcome : outcomes)
    if (outcome.object) present.insert(id_of(*outcome.object));
  std::map<ObjectId, ObjectPtr> old;
  for (const auto& object : before) old.emplace(id_of(*object), object);

  std::vector<ObjectPtr> objects;
  const auto keep = [&](const ObjectPtr& object) {
    if (present.insert(id_of(*object)).second) objects.push_back(object);
  };
  for (const auto& outcome : outcomes) {
    if (outcome.object) {
      objects.push_back(outcome.object);
    } else if (outcome.kind && outcome.key) {
      const auto last = old.find({*outcome.kind, *outcome.key});
      if (last != old.end()) keep(last->second);
    }
  }
  // One that cannot be told by name may be any that the file no longer has: they stay.
  std::set<Kind> doubtful;
  for (const auto& outcome : outcomes) {
    if (outcome.problems.empty() || outcome.key) continue;
    if (outcome.kind)
      doubtful.insert(*outcome.kind);
    else
      doubtful = {Kind::service, Kind::endpoint_slice, Kind::pod, Kind::node};
  }
  for (const auto& object : before)
    if (doubtful.contains(object->kind())) keep(object);
  return objects;
}

}  // namespace

Signature Signature::of(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim)};
}

bool File::refresh(const Options& options, bool force, const std::function<bool()>& complete) {
  const auto broken = [this](std::string_view text) {
    std::vector<Line> now{
        {log::Level::warning, fmt::format("manifests: {}: {}", printable(*path_), text)}};
    std::swap(lines_, now);
    return lines_ != now;
  };
  // Not blocking: a FIFO of that name would wait for a writer.
  const UniqueFd fd{::open(path_->c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    signature_.reset();
    return broken(Error{{errno, std::generic_category()}, "open"}.message());
  }
  const Signature signature = Signature::of(status);
  if (!force && signature_ == signature) return false;
  signature_ = signature;
  if (!S_ISREG(status.st_mode)) return broken("expected a regular file");
  if (status.st_size > kMaxSize)
    return broken(fmt::format("expected at most {} bytes, got {}", kMaxSize, status.st_size));
  const auto content = read_all(fd.get(), status.st_size);
  if (!content) return broken(content.error().message());
  if (!complete()) {
    signature_.reset();
    return false;
  }
  update(*content, options);
  return true;
}

void File::update(std::string_view content, const Options& options) {
  Content parsed = parse(path_, content, options);
  lines_ = std::move(parsed.lines);
  if (!parsed.valid) return;
  objects_ = with_last_good(parsed.outcomes, objects_);
  broken_.clear();
  for (const auto& outcome : parsed.outcomes)
    if (!outcome.object && outcome.kind && outcome.key)
      broken_.push_back({*outcome.kind, *outcome.key});
}

}  // namespace weir::manifests
