// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/config.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "source/kubernetes/kubeconfig.hpp"

namespace weir::kubernetes {
namespace {

std::string own_variable(const char* name) {
  const char* value = std::getenv(name);  // nobody sets any while this process runs
  return value == nullptr ? std::string{} : std::string{value};
}

Result<> override_server(ClientConfig& config, const std::string& server) {
  if (server.empty()) return {};
  auto url = Url::parse(server);
  if (!url) return fail(url.error(), "--server");
  config.server = std::move(*url);
  // It was for the other address: kubectl drops it too.
  config.tls_server_name.clear();
  return {};
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// The token and the authority's certificates of the pod's service account. With an address of the
// operator's own, a file that is not there is not used.
void take_service_account(ClientConfig& config, const ConfigOptions& options) {
  const std::string token = options.service_account + "/token";
  const std::string ca = options.service_account + "/ca.crt";
  const bool required = options.server.empty();
  if (required || exists(token)) config.token.file = token;
  if (required || exists(ca)) config.ca.file = ca;
}

Result<ClientConfig> in_cluster(const ConfigOptions& options, const Environment& environment) {
  ClientConfig config;
  config.origin = "in-cluster configuration";
  take_service_account(config, options);
  if (!options.server.empty()) return config;
  const std::string host = environment("KUBERNETES_SERVICE_HOST");
  const std::string port = environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty())
    return fail(
        "no API server: give --kubeconfig or --server, or run in a pod (KUBERNETES_SERVICE_HOST "
        "and "
        "KUBERNETES_SERVICE_PORT are not set)");
  const bool bare = host.contains(':') && !host.starts_with('[');
  auto url = Url::parse(bare ? fmt::format("https://[{}]:{}", host, port)
                             : fmt::format("https://{}:{}", host, port));
  if (!url) return fail(url.error(), "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT");
  config.server = std::move(*url);
  return config;
}

Result<ClientConfig> read(const ConfigOptions& options, const Environment& environment) {
  if (!options.kubeconfig.empty()) return read_kubeconfig({{options.kubeconfig}, false});
  const std::string list = environment("KUBECONFIG");
  if (list.empty()) return in_cluster(options, environment);
  KubeconfigFiles files{{}, true};
  for (std::size_t start = 0; start <= list.size();) {
    const auto end = std::min(list.find(':', start), list.size());
    if (end > start) files.paths.push_back(list.substr(start, end - start));
    start = end + 1;
  }
  return read_kubeconfig(files);
}

}  // namespace

Result<ClientConfig> find_config(const ConfigOptions& options) {
  if (auto done = forbid_core_dumps(); !done) return std::unexpected{done.error()};
  const Environment environment = options.environment ? options.environment : own_variable;
  auto config = read(options, environment);
  if (!config) return config;
  if (auto done = override_server(*config, options.server); !done)
    return std::unexpected{done.error()};
  if (config->proxy.empty())
    config->proxy = Secret{proxy_of_environment(config->server, environment)};
  if (auto done = check_config(*config); !done) return fail(done.error(), "{}", config->origin);
  return config;
}

Result<> check_config(const ClientConfig& config) {
  const bool basic = !config.username.empty() || !config.password.empty();
  if (config.server.host.empty()) return fail("no server");
  if (config.certificate.empty() != config.key.empty())
    return fail("a client certificate needs its key, and a key its certificate");
  if (!config.token.empty() && basic) return fail("both a token and a user name: give one of them");
  if (config.insecure_skip_tls_verify && !config.ca.empty())
    return fail("insecure-skip-tls-verify together with a certificate authority: give one of them");
  if (config.server.tls || (config.token.empty() && !basic)) return {};
  if (!config.server.is_loopback())
    return fail("a token or password would be sent in the clear to {}: use https://",
                config.server.text());
  if (!config.proxy.empty())
    return fail("a token or password would be sent in the clear through a proxy: use https://");
  return {};
}

}  // namespace weir::kubernetes
