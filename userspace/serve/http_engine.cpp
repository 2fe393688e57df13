// SPDX-License-Identifier: Apache-2.0
#include "serve/http_engine.hpp"

#include <microhttpd.h>
#include <netinet/in.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <memory>

#include "base/log.hpp"

namespace weir::serve {
namespace {

constexpr EventLoop::TimerId kTimeout = 0;
constexpr std::size_t kConnectionMemory = 8192;  // a request line and headers, and the answer's
constexpr std::size_t kBodyToRead = 65'536;

using Response = std::unique_ptr<MHD_Response, decltype(&MHD_destroy_response)>;

// A body is of no interest, but a client may not look for the answer before it has sent it all.
// One of unknown or great length is cut off by the answer.
bool worth_reading(MHD_Connection* connection) {
  const char* text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
  if (text == nullptr) return false;
  const std::string_view digits{text};
  std::size_t length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  return error == std::errc{} && end == digits.data() + digits.size() && length > 0 &&
         length <= kBodyToRead;
}

MHD_Result send(MHD_Connection* connection, const Reply& reply) {
  // MUST_COPY: the library does not write to what it is given here.
  const Response response{
      MHD_create_response_from_buffer(reply.body.size(), const_cast<char*>(reply.body.data()),
                                      MHD_RESPMEM_MUST_COPY),
      &MHD_destroy_response};
  if (!response) return MHD_NO;
  for (const auto& [name, value] : reply.headers)
    if (MHD_add_response_header(response.get(), name.c_str(), value.c_str()) != MHD_YES)
      return MHD_NO;
  // A connection that stayed could outlive the Service that it asks for, and would hold a place.
  if (MHD_add_response_header(response.get(), "Connection", "close") != MHD_YES) return MHD_NO;
  return MHD_queue_response(connection, reply.status, response.get());
}

}  // namespace

struct HttpEngine::Callbacks {
  // Called first with the headers, then for each piece of a body, then at its end.
  // NOLINTNEXTLINE(readability-function-size): the library's parameters
  static MHD_Result request(void* self, MHD_Connection* connection, const char* path,
                            const char* /*method*/, const char* /*version*/, const char* /*data*/,
                            std::size_t* data_size, void** state) {
    static char seen;
    if (*state == nullptr) {
      *state = &seen;
      if (worth_reading(connection)) return MHD_YES;
    } else if (*data_size > 0) {
      *data_size = 0;
      return MHD_YES;
    }
    const auto reply = static_cast<const HttpEngine*>(self)->route(connection, path);
    return reply ? send(connection, *reply) : MHD_NO;
  }
};

Result<std::unique_ptr<HttpEngine>> HttpEngine::make(EventLoop& loop, Router router,
                                                     const Limits& limits) {
  std::unique_ptr<HttpEngine> engine{new HttpEngine{loop, std::move(router)}};
  errno = 0;
  engine->daemon_ = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, nullptr, nullptr, &Callbacks::request,
      engine.get(), MHD_OPTION_CONNECTION_LIMIT, limits.connections,
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, limits.connections_of_one_address,
      MHD_OPTION_CONNECTION_TIMEOUT, limits.silence_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      kConnectionMemory, MHD_OPTION_END);
  if (engine->daemon_ == nullptr) return fail(errno, "start HTTP");
  const auto* info = MHD_get_daemon_info(engine->daemon_, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr || info->epoll_fd < 0) return fail("start HTTP: no epoll descriptor");
  engine->epoll_ = info->epoll_fd;
  if (auto ok = loop.watch(engine->epoll_, [at = engine.get()] { at->run(); }); !ok)
    return std::unexpected{std::move(ok.error())};
  return engine;
}

HttpEngine::~HttpEngine() {
  if (epoll_ >= 0) loop_.unwatch(epoll_);
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

void HttpEngine::add(UniqueFd connection, const sockaddr_storage& peer) {
  const socklen_t length = peer.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  // Closes it in any case.
  const auto added = MHD_add_connection(daemon_, connection.release(),
                                        reinterpret_cast<const sockaddr*>(&peer), length);
  if (added != MHD_YES)
    log::debug("HTTP: connection from {} refused: too many", listen_address(peer).to_string());
}

// One round of what is ready; the rest, and what times out, by a timer.
void HttpEngine::run() {
  MHD_run(daemon_);
  unsigned long long wait_ms = 0;
  if (MHD_get_timeout(daemon_, &wait_ms) != MHD_YES) return;
  auto armed = loop_.after(kTimeout, std::chrono::milliseconds{wait_ms}, [this] { run(); });
  if (!armed) log::error("{}", armed.error().message());
}

std::optional<Reply> HttpEngine::route(MHD_Connection* connection, std::string_view path) const {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  if (info == nullptr ||
      getsockname(info->connect_fd, reinterpret_cast<sockaddr*>(&local), &length) != 0)
    return std::nullopt;
  return router_(listen_address(local), path);
}

}  // namespace weir::serve
