// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/credentials.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/log.hpp"

namespace weir::kubernetes {
namespace {

using Check = bool (*)(std::string_view text);

// It goes into a header: no line may end in it.
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

bool is_certificate(std::string_view text) {
  const auto begin = text.find("-----BEGIN CERTIFICATE-----");
  const auto end = text.rfind("-----END CERTIFICATE-----");
  return begin != std::string_view::npos && end != std::string_view::npos && begin < end;
}

bool is_key(std::string_view text) {
  const auto begin = text.find("-----BEGIN ");
  const auto end = text.rfind("PRIVATE KEY-----");
  return begin != std::string_view::npos && end != std::string_view::npos && begin < end &&
         text.find("-----END ") != std::string_view::npos;
}

// With a passphrase that nobody is there to type.
bool is_encrypted(std::string_view text) {
  return text.contains("ENCRYPTED");
}

constexpr std::string_view kToken = "a token";
constexpr std::string_view kCertificate = "certificates in PEM";
constexpr std::string_view kKey = "a private key in PEM";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// What a material holds now; nothing if there is none.
Result<Secret> read(const Material& from, Check check, std::string_view expected) {
  if (from.empty()) return Secret{};
  auto text = from.file.empty() ? Result<Secret>{from.text} : read_secret(from.file);
  if (!text) return text;
  const std::string_view name = from.file.empty() ? "configuration" : std::string_view{from.file};
  Secret content{std::string{trimmed(text->reveal())}};
  if (!check(content.reveal())) return fail("{}: expected {}", name, expected);
  if (check == is_key && is_encrypted(content.reveal()))
    return fail("{}: expected a private key without a passphrase", name);
  return content;
}

// A certificate and its key. Whoever renews them may do so between the two readings: they are a
// pair only if the first is the same after the second.
Result<std::pair<Secret, Secret>> read_pair(const Material& certificate, const Material& key) {
  const auto first = read(certificate, is_certificate, kCertificate);
  if (!first) return std::unexpected{first.error()};
  auto second = read(key, is_key, kKey);
  if (!second) return std::unexpected{second.error()};
  const auto again = read(certificate, is_certificate, kCertificate);
  if (!again) return std::unexpected{again.error()};
  if (*first != *again) return fail("{}: it is being replaced", certificate.file);
  return std::pair{*first, std::move(*second)};
}

// One line when a file goes bad or fails in another way, and one when it is well again.
void tell(std::string& trouble, std::string_view what, std::string found) {
  if (found == trouble) return;
  if (found.empty())
    log::info("kubernetes: {}: read again", what);
  else
    log::warning("kubernetes: {}: {}; the last one stays in use", what, found);
  trouble = std::move(found);
}

template <class T>
std::string trouble_of(const Result<T>& found) {
  return found ? std::string{} : found.error().message();
}

}  // namespace

Result<Credentials> Credentials::load(const ClientConfig& config, Time now) {
  if (auto done = forbid_core_dumps(); !done) return std::unexpected{done.error()};
  Credentials credentials{config};
  auto token = read(config.token, is_token, kToken);
  auto ca = read(config.ca, is_certificate, kCertificate);
  auto pair = read_pair(config.certificate, config.key);
  if (!token) return std::unexpected{token.error()};
  if (!ca) return std::unexpected{ca.error()};
  if (!pair) return std::unexpected{pair.error()};
  credentials.token_ = std::move(*token);
  credentials.tls_ = {std::move(*ca), std::move(pair->first), std::move(pair->second)};
  credentials.read_at_ = now;
  return credentials;
}

bool Credentials::refresh(Time now) {
  if (!doubted_ && now - read_at_ < kMaxAge) return false;
  doubted_ = false;
  read_at_ = now;
  auto token = read(from_token_, is_token, kToken);
  tell(token_trouble_, "token", trouble_of(token));
  if (token) token_ = std::move(*token);

  TlsMaterial tls = tls_;
  auto ca = read(from_ca_, is_certificate, kCertificate);
  tell(ca_trouble_, "certificate authority", trouble_of(ca));
  if (ca) tls.ca = std::move(*ca);
  auto pair = read_pair(from_certificate_, from_key_);
  tell(pair_trouble_, "client certificate", trouble_of(pair));
  if (pair) std::tie(tls.certificate, tls.key) = std::move(*pair);
  if (tls == tls_) return false;
  tls_ = std::move(tls);
  return true;
}

}  // namespace weir::kubernetes
