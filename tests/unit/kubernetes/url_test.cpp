// SPDX-License-Identifier: Apache-2.0
// Addresses, and which proxy kubectl would take for them. The table of NO_PROXY follows the
// documentation of Go's golang.org/x/net/http/httpproxy.
#include "source/kubernetes/url.hpp"

#include <fmt/format.h>

#include <map>
#include <type_traits>

#include "source/kubernetes/secret.hpp"
#include "support/catch.hpp"

using namespace weir;
using namespace weir::kubernetes;

static_assert(!fmt::is_formattable<Secret>::value);
static_assert(!std::is_convertible_v<Secret, std::string_view>);

namespace {

std::string proxy(const std::string& url, std::map<std::string, std::string> values) {
  return proxy_of_environment(Url::parse(url).value(), [&](const char* name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string{} : found->second;
  });
}

bool exempt(const std::string& host, const std::string& list) {
  return proxy("https://" + host, {{"HTTPS_PROXY", "p"}, {"NO_PROXY", list}}).empty();
}

}  // namespace

TEST_CASE("an address, taken apart", "[kubernetes-url]") {
  CHECK(Url::parse("https://h").value() == Url{true, "h", 443, ""});
  CHECK(Url::parse("HTTP://h:8080/a/b/").value() == Url{false, "h", 8080, "/a/b"});
  CHECK(Url::parse("https://[fd00::1]:6443").value() == Url{true, "fd00::1", 6443, ""});
  CHECK(Url::parse("https://[fd00::1]").value().text() == "https://[fd00::1]:443");
  for (const char* bad : {"", "h", "h:6443", "10.0.0.1:6443", "https://", "https://h:0",
                          "https://h:65536", "https://h:x", "unix:///s", "https://h?a=b",
                          "https://h#f", "https://u@h", "https://u:p@h", "https://a b"}) {
    INFO(bad);
    CHECK_FALSE(Url::parse(bad));
  }
}

TEST_CASE("who is loopback", "[kubernetes-url]") {
  for (const char* host : {"127.0.0.1", "127.3.2.1", "[::1]", "localhost", "LOCALHOST"})
    CHECK(Url::parse(std::string{"http://"} + host).value().is_loopback());
  for (const char* host : {"10.0.0.1", "[fd00::1]", "localhost.example", "127.0.0.1.example"})
    CHECK_FALSE(Url::parse(std::string{"http://"} + host).value().is_loopback());
}

TEST_CASE("the proxy that the environment asks for", "[kubernetes-url]") {
  CHECK(proxy("https://h", {}).empty());
  CHECK(proxy("https://h", {{"HTTPS_PROXY", "a"}, {"https_proxy", "b"}}) == "a");
  CHECK(proxy("https://h", {{"https_proxy", "b"}}) == "b");
  CHECK(proxy("https://h", {{"HTTP_PROXY", "a"}, {"ALL_PROXY", "b"}}).empty());
  CHECK(proxy("http://h", {{"HTTP_PROXY", "a"}, {"HTTPS_PROXY", "b"}}) == "a");
  CHECK(proxy("https://127.0.0.1", {{"HTTPS_PROXY", "a"}}).empty());
  CHECK(proxy("https://localhost:6443", {{"HTTPS_PROXY", "a"}}).empty());
}

TEST_CASE("exceptions from the proxy", "[kubernetes-url]") {
  CHECK(exempt("10.1.2.3:6443", "10.0.0.0/8"));
  CHECK(exempt("10.1.2.3", "a, 10.1.2.3 ,b"));
  CHECK(exempt("[fd00::1]", "fd00::1"));
  CHECK(exempt("[fd00::1]:6443", "[fd00::1]:6443"));
  CHECK(exempt("[fd00::1]", "fd00::/16"));
  CHECK(exempt("api.Example.com", "example.com"));
  CHECK(exempt("example.com", "EXAMPLE.com"));
  CHECK(exempt("api.example.com", ".example.com"));
  CHECK(exempt("api.example.com", "*.example.com"));
  CHECK(exempt("api.example.com:6443", "example.com:6443"));
  CHECK(exempt("anything", "*"));

  CHECK_FALSE(exempt("11.1.2.3", "10.0.0.0/8"));
  CHECK_FALSE(exempt("10.1.2.30", "10.1.2.3"));
  CHECK_FALSE(exempt("[fd00::1]:6443", "[fd00::1]:443"));
  CHECK_FALSE(exempt("example.com", ".example.com"));
  CHECK_FALSE(exempt("badexample.com", "example.com"));
  CHECK_FALSE(exempt("example.com.evil", "example.com"));
  CHECK_FALSE(exempt("api.example.com", "example.com:6443"));
  CHECK_FALSE(exempt("h", ""));
  CHECK_FALSE(exempt("h", ",,"));
}
