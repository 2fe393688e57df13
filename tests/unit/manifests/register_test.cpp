// SPDX-License-Identifier: Apache-2.0
// Manifests that drift: a source that follows them has the state of one that reads them anew, and
// tells where that is another than before.
#include <random>

#include "unit/manifests/folder.hpp"

namespace weir::test {
namespace {

class Drift {
 public:
  explicit Drift(std::uint32_t seed) : random_{seed} {}

  // Good objects of all kinds; most objects are in one file only, most of the time.
  std::string file(std::uint32_t number) {
    std::string text;
    for (auto count = 1 + below(3); count > 0; --count)
      text += "---\n" + object(below(12) == 0 ? below(kFiles) : number);
    return text;
  }
  std::uint32_t below(std::uint32_t end) {
    return std::uniform_int_distribution<std::uint32_t>{0, end - 1}(random_);
  }

  static constexpr std::uint32_t kFiles = 6;

 private:
  std::string object(std::uint32_t number) {
    const auto kind = below(10);
    const auto which = number * 2 + below(2);
    const auto name = std::to_string(which);
    if (kind < 3) return service("s" + name, which);
    if (kind < 6) return slice("e" + name);
    if (kind < 9)
      return pod_text("p" + name, below(2) == 0 ? "{app: x}" : "{app: y, tier: z}",
                      "10.1.0." + std::to_string(1 + below(9)));
    return "apiVersion: v1\nkind: Node\nmetadata: {name: n" + name + "}\n";
  }

  std::string service(const std::string& name, std::uint32_t number) {
    std::string spec = "  ports: [{name: http, port: " + std::to_string(80 + below(2)) + "}]\n";
    // Out of few, so that one that is left out is often taken; but nobody states another's, since
    // then it would matter who was there first.
    if (below(2) == 0) spec += "  clusterIP: 10.96.0." + std::to_string(1 + number) + "\n";
    if (below(3) == 0) spec += "  type: NodePort\n";
    if (below(2) == 0) spec += below(2) == 0 ? "  selector: {app: x}\n" : "  selector: {tier: z}\n";
    if (below(3) == 0) spec += "  externalIPs: [203.0.113." + std::to_string(1 + below(2)) + "]\n";
    return service_text(name, spec);
  }

  std::string slice(const std::string& name) {
    return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata:\n"
           "  name: " +
           name + "\n  labels: {kubernetes.io/service-name: s" + std::to_string(below(12)) +
           "}\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.2.0." +
           std::to_string(1 + below(9)) + "]}]\n";
  }

  std::mt19937 random_;
};

// Whether the changes name everything that is different.
bool cover(const StateChanges& changes, const ClusterState& before, const ClusterState& after) {
  if (changes.whole) return true;
  const auto same = [](const auto& a, const auto& b, const auto& key) {
    const auto x = a.find(key);
    const auto y = b.find(key);
    return (x == a.end()) == (y == b.end()) && (x == a.end() || x->second == y->second);
  };
  bool good = true;
  for (const auto* state : {&before, &after}) {
    for (const auto& [key, service] : state->services)
      good = good && (changes.services.contains(key) || same(before.services, after.services, key));
    for (const auto& [name, node] : state->nodes)
      good = good && (changes.nodes.contains(name) || same(before.nodes, after.nodes, name));
    for (const auto& [key, slice] : state->slices)
      good =
          good &&
          (same(before.slices, after.slices, key) ||
           (changes.slices.contains(key) && changes.services.contains({key.ns, slice->service})));
  }
  return good;
}

void edit(Drift& drift, const Folder& folder) {
  const auto number = drift.below(Drift::kFiles);
  const std::string name = "f" + std::to_string(number) + ".yaml";
  if (drift.below(8) == 0) {
    std::filesystem::remove(folder.file(name));
  } else if (drift.below(2) == 0) {
    folder.write(name, drift.file(number));
  } else {
    folder.write(".new", drift.file(number));
    std::filesystem::rename(folder.file(".new"), folder.file(name));
  }
}

// How many of the changes were told in part.
int follow(std::uint32_t seed) {
  Drift drift{seed};
  Folder folder;
  folder.options.service_cidrs = {Cidr::parse("10.96.0.0/28").value()};
  folder.options.node_port_last = 30'013;
  folder.open();
  folder.source->take_changes();
  int parts = 0;
  for (int step = 0; step < 60; ++step) {
    INFO("seed " << seed << ", step " << step);
    const ClusterState before = folder.state();
    for (auto edits = 1 + drift.below(2); edits > 0; --edits) edit(drift, folder);
    StateChanges changes;
    const auto fresh = [&] {
      auto opened = manifests::Source::open(folder.options);
      REQUIRE(opened);
      return (*opened)->state();
    };
    REQUIRE(folder.until([&] {
      changes.merge(folder.source->take_changes());
      return folder.state() == fresh();
    }));
    folder.settle(1);
    changes.merge(folder.source->take_changes());
    REQUIRE(folder.state() == fresh());
    REQUIRE(cover(changes, before, folder.state()));
    parts += changes.whole ? 0 : 1;
  }
  return parts;
}

}  // namespace

TEST_CASE("a source that follows has the state of one that reads anew") {
  const Lines lines;
  int parts = 0;
  for (std::uint32_t seed = 1; seed <= 6; ++seed) parts += follow(seed);
  CHECK(parts > 200);
}

TEST_CASE("a slice waits for its Service for as long as there is none") {
  Lines lines;
  Folder folder;
  const std::string slice =
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata: {name: "
      "e, labels: {kubernetes.io/service-name: late}}\nports: [{port: 80}]\nendpoints: []\n";
  folder.write("a.yaml", service_text("other"));
  folder.open();
  folder.write("e.yaml", slice);
  REQUIRE(folder.until([&] { return !folder.state().slices.empty(); }));
  REQUIRE(lines.take_warnings().size() == 1);
  folder.write("late.yaml", service_text("late"));
  REQUIRE(folder.until([&] { return folder.has("late"); }));
  CHECK(lines.take_warnings().empty());
  std::filesystem::remove(folder.file("late.yaml"));
  REQUIRE(folder.until([&] { return !folder.has("late"); }));
  CHECK(lines.take_warnings().size() == 1);
}

TEST_CASE("of a large directory, the file that changed is read and no other") {
  Folder folder;
  for (int i = 0; i < 50; ++i)
    folder.write("s" + std::to_string(i) + ".yaml", service_text("s" + std::to_string(i)));
  folder.open();
  folder.settle();
  folder.source->take_changes();
  folder.write("s7.yaml", service_text("s7", "  ports: [{port: 81}]\n"));
  REQUIRE(folder.until([&] { return folder.service("s7").ports[0].port == 81; }));
  const auto changes = folder.source->take_changes();
  CHECK_FALSE(changes.whole);
  CHECK(changes.services == std::set<ObjectKey>{{"default", "s7"}});
}

}  // namespace weir::test
