// SPDX-License-Identifier: Apache-2.0
// Files that change, vanish and come back.
#include "source/kubernetes/credentials.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "folder.hpp"

using namespace weir;
using namespace weir::kubernetes;
using namespace std::chrono_literals;
using test::Folder, test::Lines;

namespace {

const Credentials::Time kStart{};

std::string certificate(const std::string& content) {
  return "-----BEGIN CERTIFICATE-----\n" + content + "\n-----END CERTIFICATE-----\n";
}
std::string key(const std::string& content) {
  return "-----BEGIN PRIVATE KEY-----\n" + content + "\n-----END PRIVATE KEY-----\n";
}

Material file(std::string path) {
  return {std::move(path), {}};
}

struct Bed {
  Bed() {
    config.token = file(folder.write("token", "first\n"));
    config.ca = file(folder.write("ca", certificate("ca1")));
    config.certificate = file(folder.write("crt", certificate("crt1")));
    config.key = file(folder.write("key", key("key1")));
  }
  Credentials load() const {
    auto loaded = Credentials::load(config, kStart);
    REQUIRE(loaded);
    return std::move(*loaded);
  }
  [[nodiscard]] std::string trouble() const {
    const auto loaded = Credentials::load(config, kStart);
    return loaded ? "none" : loaded.error().message();
  }

  Folder folder;
  Lines lines;
  ClientConfig config;
};

}  // namespace

TEST_CASE("a token is read again once it is a minute old", "[kubernetes-credentials]") {
  const Bed bed;
  auto credentials = bed.load();
  CHECK(credentials.token().reveal() == "first");
  bed.folder.write("token", "second");
  CHECK_FALSE(credentials.refresh(kStart + 59s));
  CHECK(credentials.token().reveal() == "first");
  CHECK_FALSE(credentials.refresh(kStart + 60s));  // a token is no TLS material
  CHECK(credentials.token().reveal() == "second");
  bed.folder.write("token", "third");
  credentials.refresh(kStart + 119s);
  CHECK(credentials.token().reveal() == "second");
  credentials.refresh(kStart + 120s);
  CHECK(credentials.token().reveal() == "third");
}

TEST_CASE("a token that was refused is read again at once", "[kubernetes-credentials]") {
  const Bed bed;
  auto credentials = bed.load();
  bed.folder.write("token", "second");
  credentials.doubt();
  credentials.refresh(kStart + 1s);
  CHECK(credentials.token().reveal() == "second");
  bed.folder.write("token", "third");
  credentials.refresh(kStart + 2s);  // no doubt any more
  CHECK(credentials.token().reveal() == "second");
}

TEST_CASE("a token that cannot be read stays what it was, and is one warning",
          "[kubernetes-credentials]") {
  Bed bed;
  auto credentials = bed.load();
  std::filesystem::remove(bed.folder.file("token"));
  for (int minute = 1; minute < 5; ++minute) {
    credentials.refresh(kStart + minute * 60s);
    CHECK(credentials.token().reveal() == "first");
  }
  CHECK(bed.lines.warnings ==
        std::vector<std::string>{"kubernetes: token: " + bed.folder.file("token") +
                                 ": No such file or directory; the last one stays in use"});
  // Not a token either: nothing, two lines, another control character.
  for (const char* text : {"", " \n", "a\nb", "a\tb", "a\rX-Evil: 1"}) {
    bed.folder.write("token", text);
    credentials.doubt();
    credentials.refresh(kStart + 301s);
    CHECK(credentials.token().reveal() == "first");
  }
  CHECK(bed.lines.warnings.size() == 2);  // another reason, once
  CHECK(bed.lines.warnings.back().ends_with(": expected a token; the last one stays in use"));
  bed.folder.write("token", "second");
  credentials.refresh(kStart + 400s);
  CHECK(credentials.token().reveal() == "second");
  CHECK(bed.lines.count("kubernetes: token: read again") == 1);
}

TEST_CASE("certificates are renewed by their content", "[kubernetes-credentials]") {
  const Bed bed;
  auto credentials = bed.load();
  CHECK(credentials.tls().ca.reveal() == std::string_view{certificate("ca1")}.substr(0, 57));
  bed.folder.write("ca", certificate("ca1"));
  CHECK_FALSE(credentials.refresh(kStart + 60s));
  bed.folder.write("ca", certificate("ca2") + certificate("ca1"));
  CHECK(credentials.refresh(kStart + 120s));
  CHECK(credentials.tls().ca.reveal().find("ca2") != std::string_view::npos);
  CHECK_FALSE(credentials.refresh(kStart + 180s));
  bed.folder.write("crt", certificate("crt2"));
  bed.folder.write("key", key("key2"));
  CHECK(credentials.refresh(kStart + 240s));
  CHECK(credentials.tls().certificate.reveal().find("crt2") != std::string_view::npos);
  CHECK(credentials.tls().key.reveal().find("key2") != std::string_view::npos);
}

TEST_CASE("half a file is not taken up", "[kubernetes-credentials]") {
  const Bed bed;
  auto credentials = bed.load();
  bed.folder.write("ca", certificate("ca2").substr(0, 30));
  bed.folder.write("crt", certificate("crt2"));
  bed.folder.write("key", key("key2").substr(0, 40));
  CHECK_FALSE(credentials.refresh(kStart + 60s));
  CHECK(credentials.tls().ca.reveal().find("ca1") != std::string_view::npos);
  // Neither of a pair.
  CHECK(credentials.tls().certificate.reveal().find("crt1") != std::string_view::npos);
  CHECK(credentials.tls().key.reveal().find("key1") != std::string_view::npos);
  CHECK(bed.lines.warnings.size() == 2);
}

TEST_CASE("at the start everything must be good", "[kubernetes-credentials]") {
  Bed bed;
  CHECK(bed.trouble() == "none");
  SECTION("no token") {
    bed.config.token = file(bed.folder.file("none"));
    CHECK(bed.trouble() == bed.folder.file("none") + ": No such file or directory");
  }
  SECTION("no certificates") {
    bed.config.ca = {"", Secret{"sesame"}};
    CHECK(bed.trouble() == "configuration: expected certificates in PEM");
  }
  SECTION("a key that asks for a passphrase") {
    bed.folder.write(
        "key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----");
    CHECK(bed.trouble() ==
          bed.folder.file("key") + ": expected a private key without a passphrase");
  }
  SECTION("a file without an end") {
    bed.config.token = file("/dev/zero");
    CHECK(bed.trouble() == "/dev/zero: larger than 1 MiB");
  }
  SECTION("a directory") {
    bed.config.token = file("/tmp");
    CHECK(bed.trouble() == "/tmp: Is a directory");
  }
}

// In a process of its own that may do nothing special: dumpable or not must make no difference to
// what weir looks at in /proc.
TEST_CASE("no core is dumped, and /proc/self can be read all the same",
          "[kubernetes-credentials]") {
  const Folder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(10);
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // setuid() took it away
    if (!forbid_core_dumps()) ::_exit(11);
    if (::chdir(folder.path().c_str()) != 0) ::_exit(15);  // where a core could be written
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_CORE, &unlimited);
    if (!std::ifstream{"/proc/self/status"}.good()) ::_exit(12);
    if (!std::ifstream{"/proc/self/fdinfo/0"}.good()) ::_exit(13);
    if (::access("/proc/self/ns/net", R_OK) != 0) ::_exit(14);
    ::signal(SIGABRT, SIG_DFL);
    ::abort();
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK_FALSE(WCOREDUMP(status));
}
