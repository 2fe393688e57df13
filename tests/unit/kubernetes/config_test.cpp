// SPDX-License-Identifier: Apache-2.0
// Kubeconfig files, good and bad, and what a pod finds.
#include <map>

#include "folder.hpp"
#include "source/kubernetes/config.hpp"

using namespace weir;
using namespace weir::kubernetes;
using test::Folder;

namespace {

Environment variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string{} : found->second;
  };
}

// One context, with what is said of its cluster and user.
std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
         "contexts: [{name: here, context: {cluster: c, user: u}}]\n"
         "clusters: [{name: c, cluster: " +
         cluster +
         "}]\n"
         "users: [{name: u, user: " +
         user + "}]\n";
}
const std::string kServer = "{server: 'https://10.0.0.1:6443'}";

Result<ClientConfig> read(const Folder& folder, const std::string& text) {
  return find_config({.kubeconfig = folder.write("config", text),
                      .server = {},
                      .service_account = folder.file("none"),
                      .environment = variables({})});
}

std::string trouble(const Result<ClientConfig>& config) {
  return config ? "none" : config.error().message();
}

}  // namespace

TEST_CASE("a kubeconfig with everything in it", "[kubernetes-config]") {
  const Folder folder;
  const auto config =
      read(folder, kubeconfig("{server: 'https://api.example:6443/clusters/a/',"
                              " certificate-authority-data: Q0E=, certificate-authority: ca.crt,"
                              " tls-server-name: kubernetes, proxy-url: 'http://proxy:3128'}",
                              "{client-certificate-data: Q0VSVA==, client-key-data: S0VZ,"
                              " token: lose, tokenFile: sub/token, unknown: [1]}"));
  REQUIRE(trouble(config) == "none");
  CHECK(config->server == Url{true, "api.example", 6443, "/clusters/a"});
  CHECK(config->server.text() == "https://api.example:6443/clusters/a");
  CHECK(config->origin == "kubeconfig " + folder.file("config"));
  CHECK(config->ca.file.empty());  // data wins
  CHECK(config->ca.text.reveal() == "CA");
  CHECK(config->certificate.text.reveal() == "CERT");
  CHECK(config->key.text.reveal() == "KEY");
  CHECK(config->token.file == folder.file("sub/token"));  // the file wins
  CHECK(config->token.text.empty());
  CHECK(config->tls_server_name == "kubernetes");
  CHECK(config->proxy.reveal() == "http://proxy:3128");
  CHECK_FALSE(config->insecure_skip_tls_verify);
}

TEST_CASE("files are named relative to the kubeconfig, or whole", "[kubernetes-config]") {
  const Folder folder;
  const auto config =
      read(folder, kubeconfig("{server: 'https://10.0.0.1', certificate-authority: pki/ca.crt}",
                              "{client-certificate: /abs/c.crt, client-key: ../k.key}"));
  REQUIRE(trouble(config) == "none");
  CHECK(config->server.port == 443);
  CHECK(config->ca.file == folder.file("pki/ca.crt"));
  CHECK(config->certificate.file == "/abs/c.crt");
  CHECK(config->key.file == folder.file("../k.key"));
}

TEST_CASE("base64 of any length, cut into lines", "[kubernetes-config]") {
  const Folder folder;
  const auto token = [&](const std::string& data) {
    return read(
        folder,
        kubeconfig("{server: 'https://a', certificate-authority-data: \"" + data + "\"}", "{}"));
  };
  for (const auto& [data, text] :
       std::vector<std::pair<std::string, std::string>>{{"YQ==", "a"},
                                                        {"YWI=", "ab"},
                                                        {"YWJj", "abc"},
                                                        {"YWJj\\nZA==\\n", "abcd"},
                                                        {"+/+/", "\xfb\xff\xbf"}}) {
    const auto config = token(data);
    INFO(data);
    REQUIRE(trouble(config) == "none");
    CHECK(config->ca.text.reveal() == text);
  }
  for (const char* data : {"YQ=", "Y===", "YQ==YQ==", "YW J", "YQ=a", "!!!!", "YWJjZ", "===="}) {
    INFO(data);
    CHECK(trouble(token(data)).ends_with("certificate-authority-data: expected base64"));
  }
}

TEST_CASE("what a kubeconfig cannot say", "[kubernetes-config]") {
  const Folder folder;
  const std::string in = "kubeconfig " + folder.file("config") + ": ";
  struct Case {
    std::string text;
    std::string expected;
  };
  const std::string plugin_end =
      ", which weir does not: use a token, tokenFile or client certificate";
  const std::vector<Case> cases{
      {"", "current-context: expected the name of a context"},
      {"eyJhbGciOi", "line 1: expected a map"},
      {"a: b: c", "line 1: not valid YAML: mapping values are not allowed in this context"},
      {"kind: Config\n---\nkind: Config", "expected one document, got several"},
      {"kind: Service", "line 1: kind: expected Config"},
      {"current-context: gone", "there is no context \"gone\""},
      {"contexts: 3", "line 1: contexts: expected a list"},
      {"contexts: [{name: a}, {name: a}]",
       "line 1: contexts[1].name: expected another name: this one is there twice"},
      {"contexts: [{context: {}}]", "line 1: contexts[0].name: expected a name"},
      {"users: [{name: a, user: {token: 12345678}}]",
       "line 1: users[0].user.token: expected text (in quotes)"},
      {"users: [{name: a, user: sesame}]", "line 1: users[0].user: expected a map"},
      {"users: [{name: a, user: {token: [sesame], password: 1}}]",
       "line 1: users[0].user.password: expected text (in quotes) (and 1 more)"},
      {kubeconfig("{}", "{}"), "server of cluster \"c\": expected https://HOST[:PORT]"},
      {kubeconfig("{server: 'https://me:sesame@h'}", "{}"),
       "server of cluster \"c\": expected no user and no password in the address"},
      {kubeconfig("{server: 'ftp://h'}", "{}"),
       "server of cluster \"c\": expected https://HOST[:PORT]"},
      {kubeconfig("{server: 'https://h', insecure-skip-tls-verify: 'yes'}", "{}"),
       "line 5: clusters[0].cluster.insecure-skip-tls-verify: expected true or false"},
      {kubeconfig("{server: 'https://h', insecure-skip-tls-verify: true, "
                  "certificate-authority: a}",
                  "{}"),
       "insecure-skip-tls-verify together with a certificate authority: give one of them"},
      {kubeconfig(kServer, "{exec: {command: aws}}"),
       "user \"u\" logs in by a plugin (exec)" + plugin_end},
      {kubeconfig(kServer, "{auth-provider: {name: oidc}}"),
       "user \"u\" logs in by an auth-provider" + plugin_end},
      {kubeconfig(kServer, "{token: t, as: root}"),
       "user \"u\" impersonates another (as)" + plugin_end},
      {kubeconfig(kServer, "{token: t, as-groups: [x]}"),
       "user \"u\" impersonates another (as-groups)" + plugin_end},
      {kubeconfig(kServer, "{client-certificate: a}"),
       "a client certificate needs its key, and a key its certificate"},
      {kubeconfig(kServer, "{client-key-data: S0VZ}"),
       "a client certificate needs its key, and a key its certificate"},
      {kubeconfig(kServer, "{token: t, username: x, password: sesame}"),
       "both a token and a user name: give one of them"},
      {kubeconfig("{server: 'http://10.0.0.1'}", "{token: t}"),
       "a token or password would be sent in the clear to http://10.0.0.1:80: use https://"},
      {kubeconfig("{server: 'http://10.0.0.1:8080'}", "{username: x, password: y}"),
       "a token or password would be sent in the clear to http://10.0.0.1:8080: use https://"},
      {kubeconfig("{server: 'http://127.0.0.1', proxy-url: 'http://p'}", "{token: t}"),
       "a token or password would be sent in the clear through a proxy: use https://"},
  };
  for (const auto& [text, expected] : cases) {
    INFO(text);
    std::string got = trouble(read(folder, text));
    // The path is there once, whichever step says it.
    CHECK(got.starts_with("kubeconfig"));
    CHECK(got.find(folder.file("config") + ": ") != std::string::npos);
    CHECK(got.ends_with(": " + expected));
    CHECK(got.find("sesame") == std::string::npos);
    CHECK(got.find("12345678") == std::string::npos);
    CHECK(got.find("eyJ") == std::string::npos);
  }
}

TEST_CASE("what another user needs is none of ours", "[kubernetes-config]") {
  const Folder folder;
  const auto block = read(folder,
                          "current-context: a\n"
                          "contexts:\n- name: a\n  context: {cluster: c, user: u}\n"
                          "clusters:\n- name: c\n  cluster: {server: 'https://h'}\n"
                          "users:\n- name: v\n  user: {exec: {command: aws}}\n"
                          "- name: u\n  user: {username: x, password: y}\n");
  REQUIRE(trouble(block) == "none");
  CHECK(block->username == "x");
  CHECK(block->password.reveal() == "y");
}

TEST_CASE("a token over http:// goes to loopback only", "[kubernetes-config]") {
  const Folder folder;
  for (const char* server : {"http://127.0.0.1:8001", "http://[::1]:8001", "http://localhost:80"})
    CHECK(trouble(read(folder, kubeconfig("{server: '" + std::string{server} + "'}",
                                          "{token: t}"))) == "none");
  CHECK(trouble(read(folder, kubeconfig("{server: 'http://10.0.0.1'}", "{}"))) == "none");
}

TEST_CASE("several files: the first that says it", "[kubernetes-config]") {
  const Folder folder;
  std::filesystem::create_directory(folder.file("b"));
  const std::string first = folder.write(
      "a.yaml", "current-context: x\nclusters: [{name: c, cluster: {server: 'https://first'}}]\n");
  const std::string second = folder.write(
      "b/b.yaml",
      "current-context: y\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
      "clusters: [{name: c, cluster: {server: 'https://second', certificate-authority: ca}}]\n"
      "users: [{name: u, user: {tokenFile: token}}]\n");
  const auto of = [&](const std::string& list) {
    return find_config({.kubeconfig = {},
                        .server = {},
                        .service_account = {},
                        .environment = variables({{"KUBECONFIG", list}})});
  };
  const auto config = of("/does/not/exist:" + first + "::" + second);
  REQUIRE(trouble(config) == "none");
  CHECK(config->server.host == "first");
  CHECK(config->ca.empty());                            // not mixed with the second's
  CHECK(config->token.file == folder.file("b/token"));  // relative to its own file
  CHECK(trouble(of("/does/not/exist"))
            .ends_with("none of the files that $KUBECONFIG names is there"));
  CHECK(trouble(find_config({.kubeconfig = "/does/not/exist",
                             .server = {},
                             .service_account = {},
                             .environment = variables({})})) ==
        "kubeconfig: /does/not/exist: No such file or directory");
}

TEST_CASE("in a pod", "[kubernetes-config]") {
  const Folder folder;
  const auto find = [&](std::map<std::string, std::string> values, std::string server = {}) {
    return find_config({.kubeconfig = {},
                        .server = std::move(server),
                        .service_account = folder.path(),
                        .environment = variables(std::move(values))});
  };
  const std::map<std::string, std::string> pod{{"KUBERNETES_SERVICE_HOST", "fd00::1"},
                                               {"KUBERNETES_SERVICE_PORT", "443"}};
  const auto config = find(pod);
  REQUIRE(trouble(config) == "none");
  CHECK(config->server.text() == "https://[fd00::1]:443");
  CHECK(config->token.file == folder.file("token"));
  CHECK(config->ca.file == folder.file("ca.crt"));
  CHECK(find({{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "6443"}})
            ->server.text() == "https://10.96.0.1:6443");
  CHECK(trouble(find({})).starts_with("no API server: give --kubeconfig or --server"));
  CHECK_FALSE(find({{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}}));

  SECTION("--server instead of the service's own address, with the pod's files") {
    folder.write("token", "t");
    folder.write("ca.crt", "x");
    const auto other = find(pod, "https://192.0.2.1:6443");
    REQUIRE(trouble(other) == "none");
    CHECK(other->server.text() == "https://192.0.2.1:6443");
    CHECK(other->token.file == folder.file("token"));
    CHECK(other->ca.file == folder.file("ca.crt"));
    CHECK_FALSE(find(pod, "http://192.0.2.1:6443"));
  }
  SECTION("--server alone: no credentials") {
    const auto other = find({}, "http://192.0.2.1:8080");
    REQUIRE(trouble(other) == "none");
    CHECK(other->token.empty());
    CHECK(other->ca.empty());
  }
}

TEST_CASE("--server over a kubeconfig's, and proxies", "[kubernetes-config]") {
  const Folder folder;
  const std::string file =
      folder.write("config", kubeconfig("{server: 'https://h', tls-server-name: n}", "{token: t}"));
  const auto find = [&](std::string server, std::map<std::string, std::string> values) {
    return find_config({.kubeconfig = file,
                        .server = std::move(server),
                        .service_account = {},
                        .environment = variables(std::move(values))});
  };
  const auto config = find("https://192.0.2.1", {{"https_proxy", "http://p:1"}});
  REQUIRE(trouble(config) == "none");
  CHECK(config->server.host == "192.0.2.1");
  CHECK(config->tls_server_name.empty());
  CHECK(config->token.text.reveal() == "t");
  CHECK(config->proxy.reveal() == "http://p:1");
  CHECK(find("", {})->tls_server_name == "n");
  CHECK(trouble(find("192.0.2.1", {})) == "--server: expected https://HOST[:PORT]");
  folder.write("config", kubeconfig("{server: 'https://h', proxy-url: 'http://own'}", "{}"));
  CHECK(find("", {{"HTTPS_PROXY", "http://p:1"}})->proxy.reveal() == "http://own");
}
