// SPDX-License-Identifier: Apache-2.0
// Where `weir run` has its Services from.
#include "support/catch.hpp"
#include "unit/cli/command_line.hpp"

using namespace weir;
using test::run;

TEST_CASE("run: without manifests there is nothing to do") {
  const auto ran = run({"run"});
  CHECK(ran.status == 2);
  CHECK(ran.err ==
        "weir: run: expected --manifests or --kubeconfig; this is no pod of a cluster (see weir "
        "run --help)\n");
}

TEST_CASE("run: one source, not two") {
  CHECK(run({"run", "--manifests", "/m", "--kubeconfig", "/k"})
            .err.starts_with("weir: run: --manifests and --kubeconfig: expected one source"));
  CHECK(run({"run", "--manifests", "/m", "--server", "https://192.0.2.1:6443"})
            .err.starts_with("weir: run: --manifests and --server: expected one source"));
  const auto api = run({"run", "--kubeconfig", "/k", "--server", "https://192.0.2.1:6443"});
  CHECK(api.status == 0);
  REQUIRE(api.agent);
  CHECK(api.agent->kubeconfig == "/k");
  CHECK(api.agent->server == "https://192.0.2.1:6443");
}
