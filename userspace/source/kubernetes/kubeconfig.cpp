// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/kubeconfig.hpp"

#include <cerrno>
#include <filesystem>
#include <map>
#include <optional>

#include "source/kubernetes/base64.hpp"
#include "source/manifests/field.hpp"

namespace weir::kubernetes {
namespace {

using manifests::Field, manifests::printable, manifests::Report, manifests::ValueKind;

struct Context {
  std::string cluster;
  std::string user;
};

struct Cluster {
  std::string server;
  Material ca;
  bool insecure = false;
  std::string tls_server_name;
  Secret proxy;
};

struct User {
  Material token;
  Material certificate;
  Material key;
  std::string username;
  Secret password;
  std::string refused;  // what of it weir cannot do; empty: nothing
};

// By name, each with the file that it is from.
template <class T>
using Named = std::map<std::string, std::pair<std::string, T>>;

struct Contents {
  std::string current;
  Named<Context> contexts;
  Named<Cluster> clusters;
  Named<User> users;
};

// Reads one file's tree. Field's own readers name the value that they did not expect; here it could
// be a token in the wrong place, so that reports say only what was expected.
class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_{path}, directory_{std::filesystem::path{path}.parent_path()} {}

  Report& report() { return report_; }

  void read(const manifests::Value& root, Contents& into) {
    const Field file{root, report_};
    if (!map(file)) return;
    const Field kind = file["kind"];
    if (kind.present() && text(kind) != "Config") expected(kind, "Config");
    if (into.current.empty()) into.current = text(file["current-context"]);
    read_all(file["contexts"], "context", into.contexts, &Reader::context);
    read_all(file["clusters"], "cluster", into.clusters, &Reader::cluster);
    read_all(file["users"], "user", into.users, &Reader::user);
  }

 private:
  void expected(const Field& field, std::string_view what) {
    if (report_.full()) return report_.drop();
    const std::string path = field.path();
    report_.add(field.line(), fmt::format("{}{}expected {}", path, path.empty() ? "" : ": ", what));
  }

  bool map(const Field& field) {
    const bool is = field.present() && field.value()->kind == ValueKind::map;
    if (!is) expected(field, "a map");
    return is;
  }

  std::string text(const Field& field) {
    if (!field.present()) return {};
    if (field.value()->kind == ValueKind::text) return std::string{field.value()->scalar};
    expected(field, "text (in quotes)");
    return {};
  }

  // A path relative to the file that it stands in.
  std::string path(const Field& field) {
    const std::string relative = text(field);
    return relative.empty() ? relative : (directory_ / relative).string();
  }

  bool boolean(const Field& field) {
    if (!field.present()) return false;
    if (field.value()->kind == ValueKind::boolean) return field.boolean(false);
    expected(field, "true or false");
    return false;
  }

  // NAME-data in base64, which wins, or the file called NAME.
  Material material(const Field& data, const Field& file) {
    Material found;
    const Secret encoded{text(data)};
    if (encoded.empty()) return {path(file), {}};
    if (auto decoded = decode_base64(encoded.reveal()); decoded && !decoded->empty())
      found.text = std::move(*decoded);
    else
      expected(data, "base64");
    return found;
  }

  Context context(const Field& body) { return {text(body["cluster"]), text(body["user"])}; }

  Cluster cluster(const Field& body) {
    return {.server = text(body["server"]),
            .ca = material(body["certificate-authority-data"], body["certificate-authority"]),
            .insecure = boolean(body["insecure-skip-tls-verify"]),
            .tls_server_name = text(body["tls-server-name"]),
            .proxy = Secret{text(body["proxy-url"])}};
  }

  User user(const Field& body) {
    User user{.token = {path(body["tokenFile"]), {}},
              .certificate = material(body["client-certificate-data"], body["client-certificate"]),
              .key = material(body["client-key-data"], body["client-key"]),
              .username = text(body["username"]),
              .password = Secret{text(body["password"])},
              .refused = {}};
    if (user.token.file.empty()) user.token.text = Secret{text(body["token"])};
    if (body["exec"].present()) user.refused = "logs in by a plugin (exec)";
    if (body["auth-provider"].present()) user.refused = "logs in by an auth-provider";
    for (const char* name : {"as", "as-uid", "as-groups", "as-user-extra"})
      if (body[name].present()) user.refused = fmt::format("impersonates another ({})", name);
    return user;
  }

  template <class T>
  void read_all(const Field& list, std::string_view member, Named<T>& into,
                T (Reader::*read_one)(const Field&)) {
    if (!list.present()) return;
    if (list.value()->kind != ValueKind::list) return expected(list, "a list");
    Named<T> own;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Field entry = list.item(i);
      if (!map(entry)) continue;
      const Field name = entry["name"];
      const std::string called = text(name);
      const Field body = entry[member];
      if (called.empty()) expected(name, "a name");
      if (body.present() && !map(body)) continue;
      if (!own.emplace(called, std::pair{path_, (this->*read_one)(body)}).second)
        expected(name, "another name: this one is there twice");
    }
    into.merge(own);  // what is there already stays
  }

  const std::string& path_;
  std::filesystem::path directory_;
  Report report_;
};

Result<> read_file(const std::string& path, Contents& into) {
  const auto text = read_secret(path);
  if (!text) return std::unexpected{text.error()};
  Reader reader{path};
  unsigned documents = 0;
  const auto error =
      manifests::parse_yaml(text->reveal(), [&](unsigned document, const manifests::Value& root) {
        documents = document;
        if (document == 1) reader.read(root, into);
      });
  if (error) return fail("{}: line {}: {}", path, error->line, error->text);
  if (documents > 1) return fail("{}: expected one document, got several", path);
  const auto problems = reader.report().take();
  if (problems.empty()) return {};
  const auto others = problems.size() - 1;
  return fail("{}: line {}: {}{}", path, problems[0].line, problems[0].text,
              others == 0 ? "" : fmt::format(" (and {} more)", others));
}

Result<Contents> read_files(const KubeconfigFiles& files) {
  Contents contents;
  std::size_t missing = 0;
  for (const auto& path : files.paths) {
    auto done = read_file(path, contents);
    const bool absent = !done && done.error().code() == std::errc::no_such_file_or_directory;
    if (absent && files.may_be_missing)
      ++missing;
    else if (!done)
      return std::unexpected{done.error()};
  }
  if (missing == files.paths.size())
    return fail("none of the files that $KUBECONFIG names is there");
  return contents;
}

template <class T>
Result<const std::pair<std::string, T>*> find(const Named<T>& all, std::string_view what,
                                              const std::string& name) {
  const auto found = all.find(name);
  if (found == all.end()) return fail("there is no {} \"{}\"", what, printable(name));
  return &found->second;
}

Result<> take_cluster(ClientConfig& config, const Contents& contents, const std::string& name) {
  const auto found = find(contents.clusters, "cluster", name);
  if (!found) return std::unexpected{found.error()};
  const Cluster& cluster = (*found)->second;
  config.origin = "kubeconfig " + (*found)->first;
  auto server = Url::parse(cluster.server);
  if (!server) return fail(server.error(), "server of cluster \"{}\"", printable(name));
  config.server = std::move(*server);
  config.ca = cluster.ca;
  config.insecure_skip_tls_verify = cluster.insecure;
  config.tls_server_name = cluster.tls_server_name;
  config.proxy = cluster.proxy;
  return {};
}

Result<> take_user(ClientConfig& config, const Contents& contents, const std::string& name) {
  if (name.empty()) return {};  // anonymous
  const auto found = find(contents.users, "user", name);
  if (!found) return std::unexpected{found.error()};
  const User& user = (*found)->second;
  if (!user.refused.empty())
    return fail("user \"{}\" {}, which weir does not: use a token, tokenFile or client certificate",
                printable(name), user.refused);
  config.token = user.token;
  config.certificate = user.certificate;
  config.key = user.key;
  config.username = user.username;
  config.password = user.password;
  return {};
}

Result<ClientConfig> choose(const Contents& contents) {
  if (contents.current.empty()) return fail("current-context: expected the name of a context");
  const auto context = find(contents.contexts, "context", contents.current);
  if (!context) return std::unexpected{context.error()};
  ClientConfig config;
  if (auto done = take_cluster(config, contents, (*context)->second.cluster); !done)
    return std::unexpected{done.error()};
  if (auto done = take_user(config, contents, (*context)->second.user); !done)
    return std::unexpected{done.error()};
  return config;
}

}  // namespace

Result<ClientConfig> read_kubeconfig(const KubeconfigFiles& files) {
  const auto contents = read_files(files);
  if (!contents) return fail(contents.error(), "kubeconfig");
  auto config = choose(*contents);
  if (config) return config;
  std::string names;
  for (const auto& path : files.paths) names += (names.empty() ? "" : ":") + path;
  return fail(config.error(), "kubeconfig {}", names);
}

}  // namespace weir::kubernetes
