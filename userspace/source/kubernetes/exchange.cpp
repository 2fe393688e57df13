// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/exchange.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "source/manifests/value.hpp"

namespace weir::kubernetes {
namespace {

constexpr std::chrono::seconds kConnectTimeout{10};

// As kubectl and kube-proxy name themselves, with Go's names of architectures.
std::string user_agent() {
  utsname name{};
  ::uname(&name);
  std::string machine = name.machine;
  if (machine == "x86_64") machine = "amd64";
  if (machine == "aarch64") machine = "arm64";
  return fmt::format("weir/{} (linux/{})", WEIR_VERSION, machine);
}

// A dead peer is noticed after 30 s by the kernel: libcurl's multi interface sends no HTTP/2 PING.
int on_new_socket(void* /*unused*/, curl_socket_t fd, curlsocktype /*purpose*/) {
  const auto set = [fd](int level, int option, int value) {
    ::setsockopt(fd, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
  return CURL_SOCKOPT_OK;
}

// "Name: value" with that name in any case; nothing: another.
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':') return std::nullopt;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : int{c}; };
  if (!std::ranges::equal(line.substr(0, name.size()), name, {}, lower, lower)) return std::nullopt;
  line.remove_prefix(name.size() + 1);
  const auto first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos) return std::string_view{};
  return line.substr(first, line.find_last_not_of(" \t\r\n") - first + 1);
}

// A date, which is allowed too, is no number and is not kept.
std::optional<std::chrono::seconds> seconds(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return std::chrono::seconds{value};
}

// Go's socks5 lets the proxy resolve names, libcurl calls that socks5h.
std::string proxy_text(const Secret& proxy) {
  constexpr std::string_view kSocks = "socks5://";
  const std::string_view text = proxy.reveal();
  if (text.starts_with(kSocks)) return fmt::format("socks5h://{}", text.substr(kSocks.size()));
  return std::string{text};
}

}  // namespace

Exchange::Exchange(Transport::Id id, Request request, Receiver& receiver)
    : id_{id}, request_{std::move(request)}, receiver_{&receiver} {}

Exchange::~Exchange() {
  if (connections_) connections_->remove(easy_.get());
}

Exchange& Exchange::of(CURL* easy) {
  void* self = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &self);
  return *static_cast<Exchange*>(self);
}

template <class T>
void Exchange::set(CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(easy_.get(), option, value);
  if (refused_ == CURLE_OK) refused_ = code;
}

void Exchange::add_header(const std::string& line) {
  curl_slist* longer = curl_slist_append(headers_.get(), line.c_str());
  if (longer == nullptr) {
    refused_ = CURLE_OUT_OF_MEMORY;
  } else if (headers_ == nullptr) {
    headers_.reset(longer);
  }
}

void Exchange::prepare_request(const ClientConfig& config) {
  // The certificate's name is checked against the URL's host, and SNI is it too: another name
  // stands there, and the connection goes to the address all the same.
  Url url = config.server;
  if (!config.tls_server_name.empty()) {
    url.host = config.tls_server_name;
    add_header("Host: " + config.server.authority());
    connect_to_.reset(curl_slist_append(nullptr, ("::" + config.server.authority()).c_str()));
    set(CURLOPT_CONNECT_TO, connect_to_.get());
  }
  set(CURLOPT_URL, (url.text() + request_.target).c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  if (request_.method != "GET" || !request_.body.empty()) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    set(CURLOPT_POSTFIELDS, request_.body.data());
    set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    add_header("Content-Type:" +
               (request_.content_type.empty() ? "" : " " + request_.content_type));
  }
  add_header("Accept: application/json");
  add_header("Expect:");
  set(CURLOPT_USERAGENT, user_agent().c_str());
  set(CURLOPT_ACCEPT_ENCODING, "gzip");
}

void Exchange::prepare_login(const ClientConfig& config, const Credentials& credentials) {
  if (!credentials.token().empty()) {
    const std::string_view token = credentials.token().reveal();
    const Secret line{"Authorization: Bearer " + std::string{token}};
    add_header(line.c_str());
  } else if (!config.username.empty() || !config.password.empty()) {
    set(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    set(CURLOPT_USERNAME, config.username.c_str());
    set(CURLOPT_PASSWORD, config.password.c_str());
  }
}

void Exchange::prepare_tls(const ClientConfig& config, const TlsMaterial& tls) {
  const auto blob = [this](CURLoption option, const Secret& pem) {
    const std::string_view text = pem.reveal();
    curl_blob data{const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
    if (!text.empty()) set(option, &data);
  };
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, config.insecure_skip_tls_verify ? 0L : 1L);
  set(CURLOPT_SSL_VERIFYHOST, config.insecure_skip_tls_verify ? 0L : 2L);
  // Without this, the system's authorities would be trusted beside the cluster's.
  if (!tls.ca.empty()) set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  blob(CURLOPT_CAINFO_BLOB, tls.ca);
  blob(CURLOPT_SSLCERT_BLOB, tls.certificate);
  blob(CURLOPT_SSLKEY_BLOB, tls.key);
  set(CURLOPT_KEYPASSWD, "");  // a key with a passphrase fails instead of asking on the terminal
  // A session that goes on after the client's certificate was renewed would still be the old one's.
  set(CURLOPT_SSL_SESSIONID_CACHE, 0L);
}

void Exchange::prepare_way(const ClientConfig& config) {
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  // Rather a stream on the connection that is being made than one more. In the clear there are no
  // streams, and libcurl would wait for the first answer to know.
  set(CURLOPT_PIPEWAIT, config.server.tls ? 1L : 0L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(std::chrono::milliseconds{kConnectTimeout}.count()));
  set(CURLOPT_SOCKOPTFUNCTION, &on_new_socket);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // or the end of a request waits for its name to be resolved
  through_proxy_ = !config.proxy.empty();
  set(CURLOPT_PROXY, proxy_text(config.proxy).c_str());  // empty: none, and no variable is read
  set(CURLOPT_NOPROXY, "");
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

Result<> Exchange::start(const ClientConfig& config, Credentials& credentials,
                         std::shared_ptr<Connections> connections) {
  const std::string_view path =
      std::string_view{request_.target}.substr(0, request_.target.find('?'));
  name_ = fmt::format("{} {}{}", request_.method, config.server.text(), manifests::printable(path));
  if (easy_ == nullptr) return fail("{}: no memory", name_);
  credentials_ = &credentials;
  prepare_request(config);
  prepare_login(config, credentials);
  prepare_tls(config, credentials.tls());
  prepare_way(config);
  set(CURLOPT_HTTPHEADER, headers_.get());
  set(CURLOPT_PRIVATE, this);
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_HEADERFUNCTION, &Exchange::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Exchange::on_body);
  set(CURLOPT_WRITEDATA, this);
  if (refused_ != CURLE_OK) return fail("{}: {}", name_, curl_easy_strerror(refused_));
  if (auto added = connections->add(easy_.get()); !added) return fail(added.error(), "{}", name_);
  connections_ = std::move(connections);
  return {};
}

std::size_t Exchange::on_header(char* text, std::size_t /*one*/, std::size_t size, void* self) {
  auto& own = *static_cast<Exchange*>(self);
  own.last_ = Clock::now();
  return own.header({text, size}) ? size : 0;
}

// False: no more of it is wanted.
bool Exchange::header(std::string_view line) {
  if (in_body_) return receiver_ != nullptr;  // a trailer
  if (line.starts_with("HTTP/")) head_ = {};
  if (const auto value = value_of(line, "Retry-After")) head_.retry_after = seconds(*value);
  if (line != "\r\n" && line != "\n") return receiver_ != nullptr;
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) return receiver_ != nullptr;  // the real one is still to come
  head_.status = static_cast<int>(status);
  in_body_ = true;
  if (status == 401) credentials_->doubt();
  if (receiver_ != nullptr) receiver_->head(head_);
  return receiver_ != nullptr;
}

std::size_t Exchange::on_body(char* text, std::size_t /*one*/, std::size_t size, void* self) {
  auto& own = *static_cast<Exchange*>(self);
  own.last_ = Clock::now();
  if (own.receiver_ != nullptr && !own.receiver_->body({text, size})) own.abandon();
  return own.receiver_ != nullptr ? size : CURL_WRITEFUNC_ERROR;
}

std::optional<Exchange::Clock::time_point> Exchange::deadline() const {
  constexpr auto kNever = Clock::time_point::max();
  auto when = kNever;
  if (request_.silence.count() > 0) when = last_ + request_.silence;
  if (request_.whole.count() > 0) when = std::min(when, started_ + request_.whole);
  return when == kNever ? std::nullopt : std::optional{when};
}

Result<> Exchange::too_late(Clock::time_point now) const {
  if (request_.whole.count() > 0 && now >= started_ + request_.whole)
    return fail(ETIMEDOUT, "{}: not done within {} s", name_, request_.whole.count());
  return fail(ETIMEDOUT, "{}: nothing came for {} s", name_, request_.silence.count());
}

Result<> Exchange::outcome(CURLcode code) const {
  if (code == CURLE_OK) return {};
  const char* const way = through_proxy_ ? ": proxy" : "";
  long number = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &number);
  if (code == CURLE_COULDNT_CONNECT && number != 0)
    return fail(static_cast<int>(number), "{}{}", name_, way);
  if (code == CURLE_PARTIAL_FILE) return fail("{}: cut in the middle of the body", name_);
  // Only connecting has a timeout of libcurl's.
  if (code == CURLE_OPERATION_TIMEDOUT)
    return fail("{}{}: no connection within {} s", name_, way, kConnectTimeout.count());
  // libcurl keeps the first thing that it met, here while it wrote down the peer's address.
  if (std::string_view{error_.data()}.starts_with("getpeername()"))
    return fail("{}: closed by the server at once: perhaps it wants another client certificate",
                name_);
  const std::string_view text = error_[0] != '\0' ? error_.data() : curl_easy_strerror(code);
  return fail("{}: {}", name_, manifests::printable(text));
}

std::string Exchange::summary() const {
  long version = 0;
  curl_off_t bytes = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_VERSION, &version);
  curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_DOWNLOAD_T, &bytes);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
  return fmt::format("{}: status {}, HTTP/{}, {} bytes, {} ms", name_, head_.status,
                     version == CURL_HTTP_VERSION_2_0 ? "2" : "1", bytes, took.count());
}

}  // namespace weir::kubernetes
