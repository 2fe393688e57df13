// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#ifdef __SANITIZE_ADDRESS__
// ASan's own count; GCC's packages have no header for it.
// NOLINTNEXTLINE(bugprone-reserved-identifier, readability-identifier-naming)
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#else
#include <malloc.h>
#endif

namespace weir::test {

using namespace kubernetes;

namespace {

std::chrono::seconds offset{0};

Credentials::Time aged_clock() {
  return std::chrono::steady_clock::now() + offset;
}

void openssl(const Folder& folder, const std::string& arguments) {
  INFO(arguments);
  const std::string command =
      "cd " + folder.path() + " && openssl " + arguments + " 2>>openssl.log";
  REQUIRE(std::system(command.c_str()) == 0);
}

void make_key(const Folder& folder, const std::string& name) {
  openssl(folder, "ecparam -name prime256v1 -genkey -noout -out " + name + ".key");
}

}  // namespace

Process::Process(std::vector<std::string> command) {
  int in[2];
  int out[2];
  REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
  std::vector<char*> arguments;
  for (auto& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  input_ = in[1];
  output_ = out[0];
}

Process::~Process() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::close(input_);
  ::close(output_);
}

std::string Process::line() {
  std::string text;
  char c = 0;
  while (::read(output_, &c, 1) == 1 && c != '\n') text += c;
  return text;
}

void Process::signal(int number) const {
  ::kill(pid_, number);
}

static std::vector<std::string> server_command(std::vector<std::string> options,
                                               std::uint16_t port) {
  options.insert(options.begin(),
                 {"/usr/bin/python3", WEIR_TEST_SERVER, "--port", std::to_string(port)});
  return options;
}

Server::Server(const std::vector<std::string>& options, std::uint16_t port)
    : process_{server_command(options, port)} {
  const std::string line = process_.line();
  REQUIRE_FALSE(line.empty());
  port_ = static_cast<std::uint16_t>(std::stoi(line));
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

// Not what is resident: ASan keeps freed memory for a while.
std::size_t heap() {
#ifdef __SANITIZE_ADDRESS__
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

void make_authority(const Folder& folder, const std::string& name) {
  make_key(folder, name);
  openssl(folder, "req -x509 -new -key " + name + ".key -subj /CN=" + name + " -days 2 -out " +
                      name + ".crt");
}

void make_certificate(const Folder& folder, const std::string& name, const std::string& authority,
                      const std::string& alternative, int days) {
  make_key(folder, name);
  folder.write(name + ".ext", "subjectAltName=" + alternative + "\n");
  openssl(folder, "req -new -key " + name + ".key -subj /CN=" + name + " -out " + name + ".csr");
  openssl(folder, "x509 -req -in " + name + ".csr -CA " + authority + ".crt -CAkey " + authority +
                      ".key -CAcreateserial -days " + std::to_string(days) + " -extfile " + name +
                      ".ext -out " + name + ".crt");
}

void Probe::head(const Head& head) {
  ++heads;
  CHECK(ends == 0);
  last = head;
  if (on_head) on_head();
}

bool Probe::body(std::string_view piece) {
  CHECK(heads == 1);
  CHECK(ends == 0);
  ++pieces;
  size += piece.size();
  text += piece.substr(0, 65'536 - std::min<std::size_t>(text.size(), 65'536));
  return on_body ? on_body() : true;
}

void Probe::end(const Result<>& how) {
  ++ends;
  trouble_ = how ? "none" : how.error().message();
  if (on_end) on_end();
  loop_.stop();
}

std::string Probe::trouble() const {
  return trouble_;
}

Bed::Bed() : loop{EventLoop::make().value()} {
  offset = std::chrono::seconds{0};
}

void Bed::open(const std::string& server) {
  config.server = Url::parse(server).value();
  auto made = Client::make(*loop, config, &aged_clock);
  INFO((made ? "" : made.error().message()));
  REQUIRE(made);
  client = std::move(*made);
}

Transport::Id Bed::get(const std::string& target, Probe& probe, std::chrono::seconds silence) {
  Request request;
  request.target = target;
  request.silence = silence;
  return client->send(std::move(request), probe);
}

bool Bed::wait(std::vector<const Probe*> probes, int seconds) {
  constexpr EventLoop::TimerId kGuard = 1;
  bool late = false;
  const auto done = [&] {
    return std::ranges::all_of(probes, [](const Probe* probe) { return probe->ends > 0; });
  };
  REQUIRE(loop->after(kGuard, std::chrono::seconds{seconds}, [&] {
    late = true;
    loop->stop();
  }));
  while (!late && !done()) REQUIRE(loop->run());
  loop->disarm(kGuard);
  return !late;
}

std::string Bed::ask(const std::string& target) {
  Probe probe{*loop};
  const auto id = get(target, probe);
  if (!wait({&probe})) {
    client->cancel(id);
    return "no end";
  }
  CHECK(probe.ends == 1);
  return probe.trouble() == "none" ? probe.text : probe.trouble();
}

void Bed::run_for(std::chrono::milliseconds time) {
  constexpr EventLoop::TimerId kPause = 2;
  bool over = false;
  REQUIRE(loop->after(kPause, time, [&] {
    over = true;
    loop->stop();
  }));
  while (!over) REQUIRE(loop->run());
}

void Bed::age(std::chrono::seconds by) {
  offset += by;
}

}  // namespace weir::test
