// SPDX-License-Identifier: Apache-2.0
// Reading kubeconfig files: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
#pragma once

#include <string>
#include <vector>

#include "source/kubernetes/config.hpp"

namespace weir::kubernetes {

struct KubeconfigFiles {
  std::vector<std::string> paths;
  bool may_be_missing = false;  // one of a list, but not all of it
};

// The current context's cluster and user. The first of several files that names a context, cluster
// or user has it whole. Paths in a file are relative to the file. Fields that weir does not know
// are ignored, as by kubectl; a user that needs a plugin, or impersonates, is an error if it is the
// one in use. The proxy is the kubeconfig's own only, and check_config() is left to the caller.
Result<ClientConfig> read_kubeconfig(const KubeconfigFiles& files);

}  // namespace weir::kubernetes
