// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/connections.hpp"

#include "base/log.hpp"

namespace weir::kubernetes {
namespace {

Result<> start_curl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) return fail("start libcurl: {}", curl_easy_strerror(code));
  return {};
}

}  // namespace

Result<std::shared_ptr<Connections>> Connections::make(EventLoop& loop, Done done) {
  if (auto started = start_curl(); !started) return std::unexpected{started.error()};
  std::shared_ptr<Connections> made{new Connections{loop, std::move(done)}};
  made->multi_.reset(curl_multi_init());
  CURLM* multi = made->multi_.get();
  if (multi == nullptr) return fail("start libcurl: no memory");
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &Connections::on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, made.get());
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &Connections::on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, made.get());
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
  return made;
}

Connections::~Connections() {
  multi_.reset();  // may still call back
  for (const int fd : watched_) loop_.unwatch(fd);
  loop_.drop_timer(timer_);
}

Result<> Connections::add(CURL* easy) {
  const CURLMcode code = curl_multi_add_handle(multi_.get(), easy);
  if (code != CURLM_OK) return fail("{}", curl_multi_strerror(code));
  return {};
}

int Connections::on_socket(CURL* /*easy*/, curl_socket_t fd, int what, void* self,
                           void* /*unused*/) {
  auto done = static_cast<Connections*>(self)->want(fd, what);
  if (done) return 0;
  log::error("kubernetes: {}", done.error().message());
  return -1;
}

Result<> Connections::want(curl_socket_t fd, int what) {
  if (what == CURL_POLL_REMOVE) {
    watched_.erase(fd);
    loop_.unwatch(fd);
    return {};
  }
  watched_.insert(fd);
  const EventLoop::Io wanted{.read = (what & CURL_POLL_IN) != 0,
                             .write = (what & CURL_POLL_OUT) != 0};
  return loop_.watch_io(fd, wanted, [this, fd](EventLoop::Io ready) {
    act(fd, (ready.read ? CURL_CSELECT_IN : 0) | (ready.write ? CURL_CSELECT_OUT : 0));
  });
}

int Connections::on_timer(CURLM* /*multi*/, long timeout_ms, void* self) {
  auto& own = *static_cast<Connections*>(self);
  if (timeout_ms < 0) {
    own.loop_.disarm(own.timer_);
    return 0;
  }
  auto set = own.loop_.after(own.timer_, std::chrono::milliseconds{timeout_ms},
                             [&own] { own.act(CURL_SOCKET_TIMEOUT, 0); });
  if (set) return 0;
  log::error("kubernetes: {}", set.error().message());
  return -1;
}

void Connections::act(curl_socket_t fd, int events) {
  const auto self = shared_from_this();  // its last exchange may end in here
  int running = 0;
  curl_multi_socket_action(multi_.get(), fd, events, &running);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    CURL* easy = message->easy_handle;
    const CURLcode code = message->data.result;  // the message does not outlive remove()
    if (message->msg == CURLMSG_DONE) done_(easy, code);
  }
}

}  // namespace weir::kubernetes
