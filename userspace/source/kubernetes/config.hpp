// SPDX-License-Identifier: Apache-2.0
// Where the API server is and how to show it who is asking: from a kubeconfig, or from what a pod
// finds in its container.
#pragma once

#include <string>

#include "source/kubernetes/secret.hpp"
#include "source/kubernetes/url.hpp"

namespace weir::kubernetes {

// Text that a configuration holds itself, or names a file of, which may change at any time.
struct Material {
  std::string file;  // its path; empty: the text below is it
  Secret text;
  [[nodiscard]] bool empty() const { return file.empty() && text.empty(); }
};

struct ClientConfig {
  std::string origin;  // for people: "kubeconfig /etc/weir/kubeconfig", "in-cluster configuration"
  Url server;
  // The name that the server's certificate must have; empty: the address's host.
  std::string tls_server_name;
  bool insecure_skip_tls_verify = false;
  Secret proxy;          // a URL as libcurl reads it; empty: no proxy
  Material ca;           // PEM; empty: the system's authorities
  Material certificate;  // PEM, both or neither
  Material key;          // PEM, not encrypted
  Material token;        // without "Bearer"
  std::string username;  // Basic authentication, if not empty
  Secret password;
};

struct ConfigOptions {
  std::string kubeconfig;  // --kubeconfig; empty: $KUBECONFIG, and if that is empty in-cluster
  std::string server;      // --server: overrides the address of either
  // What the kubelet mounts into a pod: token, ca.crt.
  std::string service_account = "/var/run/secrets/kubernetes.io/serviceaccount";
  Environment environment;  // empty: the process's own
};

// A kubeconfig (one file, or a list of them in $KUBECONFIG), else the in-cluster configuration,
// else the server of the options without credentials. ~/.kube/config is not read: an agent has no
// home. Errors are one line, name the file and the line in it, and hold no value of a kubeconfig
// but the names of its contexts, clusters and users.
Result<ClientConfig> find_config(const ConfigOptions& options);

// What no client may do, wherever the configuration is from: a token or password over http:// to
// another host, trust in an authority and no check of certificates at once, two ways to log in.
Result<> check_config(const ClientConfig& config);

}  // namespace weir::kubernetes
