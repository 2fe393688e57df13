// SPDX-License-Identifier: Apache-2.0
// What a configuration's files hold at the moment: token, certificates, keys.
#pragma once

#include <chrono>
#include <string>

#include "source/kubernetes/config.hpp"

namespace weir::kubernetes {

// PEM. Empty: the system's authorities; no client certificate.
struct TlsMaterial {
  Secret ca;
  Secret certificate;
  Secret key;
  friend bool operator==(const TlsMaterial&, const TlsMaterial&) = default;
};

// Files are read again once their content is a minute old, or at once after doubt(). One that
// cannot be read, or is no token or PEM, keeps what it had before and is one warning, until it is
// well again.
class Credentials {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kMaxAge{60};

  // The first reading, in which every file must be good.
  static Result<Credentials> load(const ClientConfig& config, Time now);

  // Reads files again if that is due. True if the TLS material is another now: connections that
  // were made with the old one should serve nothing new.
  bool refresh(Time now);
  // The server did not accept them: the next refresh() reads.
  void doubt() { doubted_ = true; }

  [[nodiscard]] const Secret& token() const { return token_; }  // empty: none
  [[nodiscard]] const TlsMaterial& tls() const { return tls_; }

 private:
  explicit Credentials(const ClientConfig& config)
      : from_token_{config.token},
        from_ca_{config.ca},
        from_certificate_{config.certificate},
        from_key_{config.key} {}

  Material from_token_;
  Material from_ca_;
  Material from_certificate_;
  Material from_key_;
  Secret token_;
  TlsMaterial tls_;
  // What was wrong at the last reading; empty: nothing.
  std::string token_trouble_;
  std::string ca_trouble_;
  std::string pair_trouble_;
  Time read_at_;
  bool doubted_ = false;
};

}  // namespace weir::kubernetes
