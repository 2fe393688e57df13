// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/url.hpp"

#include <algorithm>
#include <charconv>
#include <memory>

#include "model/address.hpp"
#include "source/kubernetes/curl.hpp"

namespace weir::kubernetes {
namespace {

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  std::string copy{text};
  curl_free(text);
  return copy;
}

std::uint16_t number(std::string_view text) {
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : std::uint16_t{0};
}

std::string lower(std::string_view text) {
  std::string copy{text};
  for (char& c : copy)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return copy;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// "host:port", "[addr]:port" or without a port, which is then 0.
std::pair<std::string, std::uint16_t> split_port(const std::string& text) {
  const auto colon = text.rfind(':');
  const bool bracket = text.starts_with('[');
  const bool has_port =
      colon != std::string::npos && (bracket ? text[colon - 1] == ']' : text.find(':') == colon);
  std::string host = has_port ? text.substr(0, colon) : text;
  if (bracket && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {host, has_port ? number(std::string_view{text}.substr(colon + 1)) : std::uint16_t{0}};
}

// One entry of NO_PROXY: "*", a block, an address or a domain, the last two with a port or without.
bool exempts(const std::string& entry, const Url& url) {
  if (entry.empty()) return false;
  if (entry == "*") return true;
  const auto address = Address::parse(url.host);
  if (const auto block = Cidr::parse_within(entry); block && entry.contains('/'))
    return address && block->contains(*address);
  auto [host, port] = split_port(entry);
  if (port != 0 && port != url.port) return false;
  if (const auto other = Address::parse(host)) return address == other;
  if (host.starts_with("*.")) host.erase(0, 1);
  const std::string name = lower(url.host);
  // ".a.b" is what is below a.b, "a.b" is that and a.b itself.
  if (host.starts_with('.')) return name.ends_with(host);
  return name == host || name.ends_with("." + host);
}

std::string variable(const Environment& environment, const char* upper_name) {
  std::string value = environment(upper_name);
  return value.empty() ? environment(lower(upper_name).c_str()) : value;
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  const std::unique_ptr<CURLU, Free<curl_url_cleanup>> parsed{curl_url()};
  const std::string copy{text};
  const auto code = curl_url_set(parsed.get(), CURLUPART_URL, copy.c_str(), CURLU_PATH_AS_IS);
  const std::string scheme = part(parsed.get(), CURLUPART_SCHEME);
  Url url;
  url.tls = scheme == "https";
  url.host = part(parsed.get(), CURLUPART_HOST);
  if (code != CURLUE_OK || (!url.tls && scheme != "http") || url.host.empty())
    return fail("expected https://HOST[:PORT]");
  if (!part(parsed.get(), CURLUPART_USER).empty() ||
      !part(parsed.get(), CURLUPART_PASSWORD).empty())
    return fail("expected no user and no password in the address");
  if (!part(parsed.get(), CURLUPART_QUERY).empty() ||
      !part(parsed.get(), CURLUPART_FRAGMENT).empty())
    return fail("expected no query and no fragment in the address");
  if (url.host.starts_with('[')) url.host = url.host.substr(1, url.host.size() - 2);
  url.port = number(part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT));
  if (url.port == 0) return fail("expected a port from 1 to 65535");
  url.path = part(parsed.get(), CURLUPART_PATH);
  while (url.path.ends_with('/')) url.path.pop_back();
  return url;
}

bool Url::is_loopback() const {
  const auto address = Address::parse(host);
  return address ? address->is_loopback() : lower(host) == "localhost";
}

std::string Url::authority() const {
  return host.contains(':') ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string Url::text() const {
  return fmt::format("{}://{}{}", tls ? "https" : "http", authority(), path);
}

std::string proxy_of_environment(const Url& url, const Environment& environment) {
  std::string proxy = variable(environment, url.tls ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (proxy.empty() || url.is_loopback()) return {};
  const std::string exceptions = lower(variable(environment, "NO_PROXY"));
  for (std::size_t start = 0; start <= exceptions.size();) {
    const auto end = std::min(exceptions.find(',', start), exceptions.size());
    const std::string_view entry{exceptions.data() + start, end - start};
    if (exempts(std::string{trimmed(entry)}, url)) return {};
    start = end + 1;
  }
  return proxy;
}

}  // namespace weir::kubernetes
