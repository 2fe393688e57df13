// SPDX-License-Identifier: Apache-2.0
// One request and its answer, as an easy handle of libcurl.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "source/kubernetes/config.hpp"
#include "source/kubernetes/connections.hpp"
#include "source/kubernetes/credentials.hpp"
#include "source/kubernetes/transport.hpp"

namespace weir::kubernetes {

class Exchange {
 public:
  using Clock = std::chrono::steady_clock;

  Exchange(Transport::Id id, Request request, Receiver& receiver);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  // Takes itself off its connections: not from within libcurl's callbacks.
  ~Exchange();

  // Sends it. Configuration and credentials, which hear of a 401, must outlive the exchange.
  Result<> start(const ClientConfig& config, Credentials& credentials,
                 std::shared_ptr<Connections> connections);
  // Nothing more goes to the receiver; the answer's next byte ends it.
  void abandon() { receiver_ = nullptr; }

  [[nodiscard]] Transport::Id id() const { return id_; }
  [[nodiscard]] Receiver* receiver() const { return receiver_; }  // null: abandoned
  [[nodiscard]] const std::shared_ptr<Connections>& connections() const { return connections_; }
  // When it has taken too long, if nothing comes until then.
  [[nodiscard]] std::optional<Clock::time_point> deadline() const;

  // How it ended, as its receiver is told.
  [[nodiscard]] Result<> outcome(CURLcode code) const;
  [[nodiscard]] Result<> too_late(Clock::time_point now) const;
  // For people: "GET https://...: status 200, HTTP/2, 1234 bytes, 12 ms".
  [[nodiscard]] std::string summary() const;

  // Of a handle that an exchange started.
  static Exchange& of(CURL* easy);

 private:
  static std::size_t on_header(char* text, std::size_t one, std::size_t size, void* self);
  static std::size_t on_body(char* text, std::size_t one, std::size_t size, void* self);
  bool header(std::string_view line);
  void prepare_request(const ClientConfig& config);
  void prepare_login(const ClientConfig& config, const Credentials& credentials);
  void prepare_tls(const ClientConfig& config, const TlsMaterial& tls);
  void prepare_way(const ClientConfig& config);
  void add_header(const std::string& line);
  template <class T>
  void set(CURLoption option, T value);

  Transport::Id id_;
  Request request_;
  Receiver* receiver_;
  EasyHandle easy_{curl_easy_init()};
  HeaderList headers_;
  HeaderList connect_to_;
  std::shared_ptr<Connections> connections_;
  Credentials* credentials_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::string name_;  // for people: "GET https://10.0.0.1:6443/api/v1/services", without a query
  bool through_proxy_ = false;
  CURLcode refused_ = CURLE_OK;  // what libcurl said to an option
  Head head_;
  bool in_body_ = false;
  Clock::time_point started_ = Clock::now();
  Clock::time_point last_ = started_;
};

}  // namespace weir::kubernetes
