// SPDX-License-Identifier: Apache-2.0
// Servers of the tests on loopback, certificates for them, and what takes in answers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/event_loop.hpp"
#include "folder.hpp"
#include "source/kubernetes/client.hpp"

namespace weir::test {

// A program on the other end of a pipe; it and its pipe go with this.
class Process {
 public:
  explicit Process(std::vector<std::string> command);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();
  // What it says on its standard output; empty: it is over.
  std::string line();
  void signal(int number) const;

 private:
  int pid_ = -1;
  int input_ = -1;
  int output_ = -1;
};

// server.py.
class Server {
 public:
  explicit Server(const std::vector<std::string>& options = {}, std::uint16_t port = 0);
  [[nodiscard]] std::uint16_t port() const { return port_; }
  void signal(int number) const { process_.signal(number); }

 private:
  Process process_;
  std::uint16_t port_;
};

std::uint16_t free_port();
// Bytes that are allocated and not freed.
std::size_t heap();

// Certificates by openssl(1), as NAME.crt and NAME.key in the folder.
void make_authority(const Folder& folder, const std::string& name);
// For a server at 127.0.0.1, or for another name, or a client of that name.
void make_certificate(const Folder& folder, const std::string& name, const std::string& authority,
                      const std::string& alternative = "IP:127.0.0.1", int days = 2);

// Notes what comes; stops the loop at the end.
class Probe final : public kubernetes::Receiver {
 public:
  explicit Probe(EventLoop& loop) : loop_{loop} {}
  void head(const kubernetes::Head& head) override;
  bool body(std::string_view piece) override;
  void end(const Result<>& how) override;
  // "none" if it ended well, else the error; "still open".
  [[nodiscard]] std::string trouble() const;

  int heads = 0;
  int ends = 0;
  kubernetes::Head last;
  std::size_t pieces = 0;
  std::size_t size = 0;
  std::string text;  // the first 64 KiB
  // What else to do at each; head's and end's may cancel and send.
  std::function<void()> on_head;
  std::function<bool()> on_body;
  std::function<void()> on_end;

 private:
  EventLoop& loop_;
  std::string trouble_ = "still open";
};

// A client in a loop.
struct Bed {
  Bed();
  // Also after the configuration or the server changed.
  void open(const std::string& server);
  kubernetes::Transport::Id get(const std::string& target, Probe& probe,
                                std::chrono::seconds silence = std::chrono::seconds{20});
  // Until all have ended or ten seconds are over: false.
  bool wait(std::vector<const Probe*> probes, int seconds = 10);
  // One answer's text, or its error.
  std::string ask(const std::string& target);
  void run_for(std::chrono::milliseconds time);
  // Makes credentials that much older.
  static void age(std::chrono::seconds by);

  Folder folder;
  Lines lines;
  std::unique_ptr<EventLoop> loop;
  kubernetes::ClientConfig config;
  std::unique_ptr<kubernetes::Client> client;
};

}  // namespace weir::test
