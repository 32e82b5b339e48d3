// SPDX-License-Identifier: Apache-2.0
// Answers on a local socket what an engine is like. A thread of its own, asleep unless asked, with
// all signals blocked: it lives in programs of others.
#pragma once

#include <poll.h>
#include <pthread.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "control/conversation.h"
#include "control/status.h"
#include "control/subject.h"
#include "ring/bell.h"

namespace tideline::control {

// Of a front end.
struct FrontEndServer {
  int directory = -1;          // its own, where the socket is
  std::function<void()> stop;  // called by the server's thread
};

class Server {
 public:
  // `subject` outlives it. Whoever is looked at must not be waiting for the destructor's end.
  static Result<std::unique_ptr<Server>> start(Subject& subject, Identity identity);
  static Result<std::unique_ptr<Server>> start(Subject& subject, Identity identity,
                                               FrontEndServer front_end);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Removes the socket. A process may end without: the next to look removes it.
  ~Server();

  // The name of the socket in its directory.
  const std::string& name() const { return name_; }

 private:
  struct Client {
    UniqueFd fd;
    Conversation conversation;
  };

  Server(Subject& subject, Identity identity, std::function<void()> stop_program,
         UniqueFd directory, UniqueFd socket, std::string name, ring::EventBell stop)
      : subject_(subject),
        identity_(std::move(identity)),
        stop_program_(std::move(stop_program)),
        directory_(std::move(directory)),
        socket_(std::move(socket)),
        name_(std::move(name)),
        stop_(std::move(stop)) {}

  static Result<std::unique_ptr<Server>> start_in(Result<UniqueFd> place, Subject& subject,
                                                  Identity identity, std::function<void()> stop);
  static void* main(void* server);
  Status start_thread();
  void run();
  void accept();
  void serve(Client& client, bool ready);
  bool is_permitted(int fd) const;

  Subject& subject_;
  const Identity identity_;
  const std::function<void()> stop_program_;  // none: it is not for us to stop
  const UniqueFd directory_;
  const UniqueFd socket_;
  const std::string name_;
  const ring::EventBell stop_;
  std::vector<Client> clients_;  // oldest first
  std::vector<pollfd> watched_;  // the bell, the socket, the clients
  pthread_t thread_{};
  bool started_ = false;
};

}  // namespace tideline::control
