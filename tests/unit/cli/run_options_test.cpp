// SPDX-License-Identifier: Apache-2.0
#include "cli/run_options.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "support/catch.hpp"
#include "unit/cli/command_line.hpp"

using namespace weir;
using namespace weir::cli;
using test::run;

namespace {

// A file with this text, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    const int fd = mkstemp(path_.data());
    REQUIRE(fd >= 0);
    close(fd);
    std::ofstream{path_} << text;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/weir-config-XXXXXX";
};

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

agent::Options options_of(std::vector<std::string> flags) {
  flags.insert(flags.begin(), {"run", "--manifests", "/m"});
  const auto ran = run(flags);
  INFO(ran.err);
  REQUIRE(ran.status == 0);
  REQUIRE(ran.agent);
  return *ran.agent;
}

// The same through a file.
agent::Options options_of_file(const std::string& text, std::vector<std::string> flags = {}) {
  const TemporaryFile file{text};
  flags.insert(flags.begin(), {"run", "--config", file.path()});
  const auto ran = run(flags);
  INFO(ran.err);
  REQUIRE(ran.status == 0);
  REQUIRE(ran.agent);
  return *ran.agent;
}

std::string texts(const std::vector<Cidr>& blocks) {
  std::string out;
  for (const auto& block : blocks) out += block.to_string() + " ";
  return out;
}

}  // namespace

TEST_CASE("run: the defaults") {
  const auto options = options_of({});
  CHECK(options.manifests == Values{"/m"});
  CHECK(options.node_name == host_name());
  CHECK(options.uplinks.empty());
  CHECK(options.pod_interfaces ==
        Values{"veth*", "cali*", "lxc*", "cni*", "eni*", "azv*", "gke*", "nk*"});
  CHECK(options.node_port_addresses.empty());
  CHECK(options.xdp == agent::XdpMode::automatic);
  CHECK(options.socket_lb == agent::SocketLb::host);
  CHECK(texts(options.service_cidrs) == "10.96.0.0/12 fd00:10:96::/112 ");
  CHECK(options.load_balancer_pools.empty());
  CHECK(options.node_ports == agent::PortRange{30'000, 32'767});
  CHECK(options.source_ports == std::vector<agent::PortRange>{{61'000, 65'535}, {1'024, 29'999}});
  CHECK(options.pin_path == "/sys/fs/bpf/weir");
  CHECK(options.limits == Limits{});
  CHECK(options.limits.flows == 262'144);
  CHECK(options.lifetimes.tcp == std::chrono::hours{24});
  CHECK(options.lifetimes.tcp_half_closed == std::chrono::hours{1});
  CHECK(options.lifetimes.tcp_closing == std::chrono::seconds{10});
  CHECK(options.lifetimes.udp == std::chrono::seconds{120});
  CHECK(options.lifetimes.half_open == std::chrono::seconds{60});
  CHECK(options.log_level == log::Level::info);
}

TEST_CASE("run: every flag reaches its option") {
  const auto o = options_of({"--node-name",
                             "n1",
                             "--uplink",
                             "eth0",
                             "wg*",
                             "--pod-interface",
                             "p*",
                             "--node-port-address",
                             "10.0.0.0/8",
                             "primary",
                             "localhost",
                             "--xdp=native",
                             "--socket-lb=off",
                             "--service-cidr",
                             "10.1.0.0/16",
                             "--load-balancer-pool",
                             "192.0.2.0/24",
                             "2001:db8::/64",
                             "--node-port-range",
                             "20000-20099",
                             "--source-port-range",
                             "1024-19999",
                             "61000-65535"});
  CHECK(o.node_name == "n1");
  CHECK(o.uplinks == Values{"eth0", "wg*"});
  CHECK(o.pod_interfaces == Values{"p*"});
  CHECK(o.node_port_addresses == Values{"10.0.0.0/8", "primary", "localhost"});
  CHECK(o.socket_lb == agent::SocketLb::off);
  CHECK(o.xdp == agent::XdpMode::native);
  CHECK(texts(o.service_cidrs) == "10.1.0.0/16 ");
  CHECK(texts(o.load_balancer_pools) == "192.0.2.0/24 2001:db8::/64 ");
  CHECK(o.node_ports == agent::PortRange{20'000, 20'099});
}

TEST_CASE("run: where /healthz and /livez are") {
  const auto healthz = [](const std::string& text) -> std::string {
    const auto at = options_of({"--healthz-bind-address", text}).healthz;
    return at ? endpoint_text(at->address, at->port) : "nowhere";
  };
  CHECK(options_of({}).healthz == serve::ListenAddress{.address = Address{}, .port = 10'256});
  CHECK(healthz("127.0.0.1:80") == "127.0.0.1:80");
  CHECK(healthz("10.0.0.1") == "10.0.0.1:10256");
  CHECK(healthz("[fd00::1]:8080") == "[fd00::1]:8080");
  CHECK(healthz("::") == "[::]:10256");
  CHECK(healthz("") == "nowhere");
  CHECK(options_of({"--healthz-bind-address="}).healthz == std::nullopt);
  CHECK(options_of_file("manifests: /m\nhealthz-bind-address: ''\n").healthz == std::nullopt);
  CHECK(options_of_file("manifests: /m\nhealthz-bind-address: 10.0.0.1:1\n").healthz->port == 1);
  for (const std::string bad : {"10256", ":10256", "10.0.0.0/8", "10.0.0.1/32", "10.0.0.1:0",
                                "10.0.0.1:65536", "fd00::1:x", "localhost:80"}) {
    const auto ran = run({"run", "--manifests", "/m", "--healthz-bind-address", bad});
    CHECK(ran.status == 2);
    CHECK(ran.err.find("--healthz-bind-address: " + bad + ": expected an address") !=
          std::string::npos);
  }
}

TEST_CASE("run: where /metrics is, and how many services have metrics of their own") {
  const auto metrics = [](const std::string& text) -> std::string {
    const auto at = options_of({"--metrics-bind-address", text}).metrics;
    return at ? endpoint_text(at->address, at->port) : "nowhere";
  };
  const auto none = options_of({}).metrics;
  REQUIRE(none);
  CHECK(endpoint_text(none->address, none->port) == "127.0.0.1:10249");
  CHECK(options_of({}).metrics_services == 1000);
  CHECK(metrics("0.0.0.0") == "0.0.0.0:10249");
  CHECK(metrics("[fd00::1]:8080") == "[fd00::1]:8080");
  CHECK(metrics("") == "nowhere");
  CHECK(options_of({"--metrics-bind-address="}).metrics == std::nullopt);
  CHECK(options_of({"--metrics-bind-address="}).healthz->port == 10'256);
  CHECK(options_of_file("manifests: /m\nmetrics-bind-address: 10.0.0.1:1\n").metrics->port == 1);
  CHECK(options_of({"--metrics-services=0"}).metrics_services == 0);
  CHECK(options_of({"--metrics-services=77"}).metrics_services == 77);
  for (const std::string bad : {"-1", "x", "16777216", ""})
    CHECK(run({"run", "--manifests", "/m", "--metrics-services=" + bad}).status == 2);
  CHECK(run({"run", "--manifests", "/m", "--metrics-bind-address", "10249"}).status == 2);
}

TEST_CASE("run: sizes, lifetimes, ports, path and level") {
  const auto o = options_of({"--max-services=1", "--max-backends=2", "--max-slots=3",
                             "--max-flows=4", "--max-half-open=5", "--tcp-timeout=6s",
                             "--tcp-half-closed-timeout=7s", "--tcp-closing-timeout=8s",
                             "--udp-timeout=9s", "--half-open-timeout=10s", "--source-port-range",
                             "40000-49999", "--log-level=debug", "--pin-path=/sys/fs/bpf/x"});
  CHECK(o.limits.services == 1);
  CHECK(o.limits.backends == 2);
  CHECK(o.limits.slots == 3);
  CHECK(o.limits.flows == 4);
  CHECK(o.limits.half_open == 5);
  using std::chrono::seconds;
  CHECK(o.lifetimes.tcp == seconds{6});
  CHECK(o.lifetimes.tcp_half_closed == seconds{7});
  CHECK(o.lifetimes.tcp_closing == seconds{8});
  CHECK(o.lifetimes.udp == seconds{9});
  CHECK(o.lifetimes.half_open == seconds{10});
  CHECK(o.source_ports == std::vector<agent::PortRange>{{40'000, 49'999}});
  CHECK(o.log_level == log::Level::debug);
  CHECK(o.pin_path == "/sys/fs/bpf/x");
}

TEST_CASE("run: several values after one flag, or the flag several times") {
  CHECK(run({"run", "--manifests", "a", "b"}).agent->manifests == Values{"a", "b"});
  CHECK(run({"run", "--manifests", "a", "--manifests", "b"}).agent->manifests == Values{"a", "b"});
}

TEST_CASE("run: what cannot be meant is a usage error that says why, and starts nothing") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"--udp-timeout", "12q"}, "--udp-timeout: 12q: expected a duration"},
      {{"--xdp", "maybe"}, "--xdp: maybe: expected auto, native, generic or off"},
      {{"--log-level", "loud"}, "--log-level: loud: expected debug, info, warning or error"},
      {{"--service-cidr", "10.0.0.1/8"}, "--service-cidr: 10.0.0.1/8: expected a block"},
      {{"--service-cidr", "10.0.0.0/8", "11.0.0.0/8"},
       "--service-cidr: 11.0.0.0/8: expected at most one block of each family"},
      {{"--node-port-range", "9-1"}, "--node-port-range: 9-1: expected a range of ports"},
      {{"--node-port-address", "eth0"}, "--node-port-address: eth0: expected a block"},
      {{"--max-flows", "0"}, "--max-flows: 0: expected a number from 1 to 268435456"},
      {{"--max-flows", "268435457"}, "--max-flows: 268435457: expected a number"},
      {{"--source-port-range", "1024-2000", "2000-3000"},
       "--source-port-range: 1024-2000 and 2000-3000 overlap"},
      {{"--source-port-range", "1-2", "3-4", "5-6"},
       "--source-port-range: expected at most two ranges, got 3"},
      {{"--source-port-range", "30000-40000"},
       "--source-port-range: 30000-40000 overlaps the node ports 30000-32767"},
      {{"--node-name", ""}, "--node-name: expected a text that is not empty"},
  };
  for (const auto& [flags, why] : cases) {
    auto arguments = flags;
    arguments.insert(arguments.begin(), {"run", "--manifests", "/m"});
    const auto ran = run(arguments);
    INFO(ran.err);
    CHECK(ran.status == 2);
    CHECK(ran.err.starts_with("weir: run: " + why));
    CHECK_FALSE(ran.agent);
  }
}

TEST_CASE("run: an error of the agent is one line and status 1") {
  const auto ran = run({"run", "--manifests", "/m"}, "attach weir_xdp to eth0: no");
  CHECK(ran.status == 1);
  CHECK(ran.err == "weir: run: attach weir_xdp to eth0: no\n");
}

TEST_CASE("config file: the same names, single values and lists") {
  const auto o = options_of_file(
      "# a comment\n"
      "manifests: [/a, /b]\n"
      "node-name: \"from-file\"\n"
      "uplink:\n  - eth0\n  - eth1\n"
      "max-flows: 1024\n"
      "udp-timeout: 30s\n"
      "pin-path: /sys/fs/bpf/filed\n");
  CHECK(o.manifests == Values{"/a", "/b"});
  CHECK(o.node_name == "from-file");
  CHECK(o.uplinks == Values{"eth0", "eth1"});
  CHECK(o.limits.flows == 1024);
  CHECK(o.lifetimes.udp == std::chrono::seconds{30});
  CHECK(o.pin_path == "/sys/fs/bpf/filed");
}

TEST_CASE("config file: flags win, whole") {
  const auto o = options_of_file("manifests: [/a, /b]\nnode-name: filed\npin-path: /filed\n",
                                 {"--manifests", "/flag", "--pin-path", "/flagged"});
  CHECK(o.manifests == Values{"/flag"});
  CHECK(o.node_name == "filed");
  CHECK(o.pin_path == "/flagged");
}

TEST_CASE("config file: what is wrong in it is named with its line") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"manifests: /a\nnode-nam: x\n", "line 2: node-nam: no such option"},
      {"manifests: /a\nudp-timeout: 3\n", "line 2: udp-timeout: 3: expected a duration"},
      {"node-name: [a, b]\n", "line 1: node-name: expected one value, not a list"},
      {"manifests: []\n", "line 1: manifests: expected a value"},
      {"manifests:\n  a: b\n", "line 2: manifests: expected a value or a list of values"},
      {"- a\n", "line 1: expected a mapping of option names to values"},
      {"manifests: /a\nmanifests: /b\n", "line 2: manifests: given twice"},
      {"manifests: /a\n---\nnode-name: b\n", "line 3: expected one document"},
      {"manifests: [a\n", "line 2: "},
      {"manifests: \"\"\n", "line 1: manifests: expected texts that are not empty"},
      {"config: x\n", "line 1: config: no such option"},
  };
  for (const auto& [text, why] : cases) {
    const TemporaryFile file{text};
    const auto ran = run({"run", "--config", file.path()});
    INFO(text);
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(ran.err.starts_with("weir: run: read config " + file.path() + ": " + why));
    CHECK(ran.err.find('\n') + 1 == ran.err.size());
    CHECK_FALSE(ran.agent);
  }
}

TEST_CASE("config file: a wrong value is an error even where a flag wins over it") {
  const TemporaryFile file{"node-name: [a, b]\n"};
  const auto ran = run({"run", "--config", file.path(), "--manifests", "/m", "--node-name", "n"});
  CHECK(ran.status == 1);
  CHECK(ran.err.find("line 1: node-name: expected one value") != std::string::npos);
}

TEST_CASE("config file: none there, a directory, and an empty one") {
  CHECK(run({"run", "--config", "/nowhere/weir.yaml"}).err ==
        "weir: run: read config /nowhere/weir.yaml: No such file or directory\n");
  CHECK(run({"run", "--config", "/tmp"}).err == "weir: run: read config /tmp: Is a directory\n");
  const TemporaryFile empty{""};
  const auto ran = run({"run", "--config", empty.path()});
  CHECK(ran.status == 1);
  CHECK(ran.err ==
        "weir: run: expected --manifests or --kubeconfig; this is no pod of a cluster\n");
  CHECK(run({"run", "--config", empty.path(), "--manifests", "/m"}).status == 0);
}

TEST_CASE("WEIR_PIN_PATH stands in for --pin-path, and loses to it") {
  setenv("WEIR_PIN_PATH", "/from/env", 1);
  const auto by_env = run({"run", "--manifests", "/m"});
  const auto by_flag = run({"run", "--manifests", "/m", "--pin-path", "/from/flag"});
  unsetenv("WEIR_PIN_PATH");
  REQUIRE(by_env.agent);
  CHECK(by_env.agent->pin_path == "/from/env");
  REQUIRE(by_flag.agent);
  CHECK(by_flag.agent->pin_path == "/from/flag");
}

TEST_CASE("run: kube-proxy's names of flags") {
  CHECK(options_of({"--hostname-override", "n1"}).node_name == "n1");
  CHECK(options_of({"--nodeport-addresses", "10.0.0.0/8,primary", "--nodeport-addresses=fd00::/8"})
            .node_port_addresses == Values{"10.0.0.0/8", "primary", "fd00::/8"});
  const auto o = options_of_file(
      "manifests: /m\nhostname-override: n2\nnodeport-addresses: [10.0.0.0/8, 'localhost,all']\n");
  CHECK(o.node_name == "n2");
  CHECK(o.node_port_addresses == Values{"10.0.0.0/8", "localhost", "all"});
  // The flag wins under either name.
  CHECK(options_of_file("manifests: /m\nhostname-override: n2\n", {"--node-name=n3"}).node_name ==
        "n3");
}

TEST_CASE("run: both names of one flag") {
  const auto both = run({"run", "--manifests=/m", "--hostname-override=a", "--node-name=b"});
  CHECK(both.status == 2);
  CHECK(both.err.find("--hostname-override and --node-name are the same option") !=
        std::string::npos);
  const TemporaryFile file{"manifests: /m\nnode-name: a\nhostname-override: b\n"};
  const auto ran = run({"run", "--config", file.path()});
  CHECK(ran.status == 1);
  CHECK(ran.err.find("line 3: hostname-override and node-name are the same option") !=
        std::string::npos);
}

TEST_CASE("run: flags that only kube-proxy has are refused with the reason") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"--cluster-cidr=10.0.0.0/8",
       "--cluster-cidr: weir knows pods by their interfaces; see --pod"},
      {"--proxy-mode=ipvs", "--proxy-mode: weir has one mode"},
      {"--iptables-sync-period=1s", "--iptables-sync-period: weir makes no iptables rules"},
      {"--ipvs-scheduler=rr", "--ipvs-scheduler: weir makes no IPVS servers"},
      {"--conntrack-min=1", "--conntrack-min: weir keeps connections in tables of its own"},
      {"--v=2", "--v: leave it out; see --log-level"}};
  for (const auto& [flag, why] : cases) {
    INFO(flag);
    const auto ran = run({"run", "--manifests=/m", flag});
    CHECK(ran.status == 2);
    CHECK(ran.err.find(why) != std::string::npos);
  }
  // With the value in a word of its own, and before what is understood.
  CHECK(run({"run", "--proxy-mode", "ipvs", "--manifests=/m"}).err.find("weir has one mode") !=
        std::string::npos);
  CHECK(run({"run", "--nosuch", "--manifests=/m"}).err.find("nosuch") != std::string::npos);
  CHECK(run({"status", "--proxy-mode=ipvs"}).err.find("one mode") == std::string::npos);

  const TemporaryFile file{"manifests: /m\nproxy-mode: ipvs\n"};
  CHECK(run({"run", "--config", file.path()}).err.find("line 2: proxy-mode: weir has one mode") !=
        std::string::npos);
}

TEST_CASE("run: a file of kube-proxy's is refused by name") {
  const TemporaryFile file{
      "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nclientConnection:\n  kubeconfig: /k\n"
      "kind: KubeProxyConfiguration\nmode: ipvs\n"};
  const auto ran = run({"run", "--config", file.path()});
  CHECK(ran.status == 1);
  CHECK(ran.err.find("kind KubeProxyConfiguration: a file of kube-proxy's; docs/MIGRATING.md") !=
        std::string::npos);
}

TEST_CASE("run: where a container has the node's things") {
  const auto o = options_of({"--sysctl-path=/host/proc/sys", "--cgroup-path", "/host/cgroup"});
  CHECK(o.sysctl_path == "/host/proc/sys");
  CHECK(o.cgroup_path == "/host/cgroup");
  CHECK(options_of({}).sysctl_path == "/proc/sys");
  CHECK(options_of({}).cgroup_path.empty());
}

TEST_CASE("run: the help has kube-proxy's names, a line each") {
  const auto help = run({"run", "--help"}).out;
  CHECK(help.find("kube-proxy's name of --node-name") != std::string::npos);
  CHECK(help.find("kube-proxy's name of --node-port-address") != std::string::npos);
  CHECK(help.find("--proxy-mode") == std::string::npos);
}
