// SPDX-License-Identifier: Apache-2.0
// An engine in the program's own process (placement `app`), on the wire that the environment names.
// A process has one: the library that is asked first starts it, and the others find it.
//
//   TIDELINE_WIRE      shm:default if it is not set; as --wire of the command line
//   TIDELINE_IP, TIDELINE_IP6, TIDELINE_GATEWAY, TIDELINE_MTU, TIDELINE_IMPAIR, TIDELINE_SEED,
//   TIDELINE_CAPTURE, TIDELINE_MTU_PROBING   as the options of the same names
//   TIDELINE_TELL      set: leased addresses are told on standard error
//   TIDELINE_STATS     set: what the engine has counted goes to standard error at exit
//
// Thread: any, but for start().
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "client/sockets.h"
#include "control/server.h"
#include "control/subject.h"
#include "engine/app_engine.h"
#include "engine/app_sockets.h"
#include "engine/attachment.h"

namespace tideline::shim {

// Of a variable of the environment. At start only: the environment may change later.
std::string text_of(const char* variable, const char* otherwise = "");
engine::AttachmentOptions options_from_environment();

// What a starter adds.
struct AppHooks {
  engine::AppOptions app{};
  // Before the wire carries anything.
  void (*addresses_known)(void* context, const engine::HostOptions& host) = nullptr;
  void* context = nullptr;
};

class AppProcess final : private control::Subject {
 public:
  // Ready: its addresses serve. Frames lie in a pool that is large enough for verbs, too.
  static Result<std::unique_ptr<AppProcess>> start(const engine::AttachmentOptions& options,
                                                   const AppHooks& hooks = {});

  engine::AppEngine& engine() { return *engine_; }
  client::Sockets& sockets() { return *sockets_; }
  const engine::HostOptions& host() const { return host_; }
  // The RDMA device beside the host, from now on: for `tideline status`.
  void set_device(const rdma::Device* device) { device_.store(device, std::memory_order_release); }
  // Over payload of sockets, and what the wire does for all.
  packet::PassCounter passes(engine::Worker& worker) const;
  // Counters of the wire, as words " name=value"; and the capture, written out.
  std::string report(engine::Worker& worker) const;
  void flush_capture();

 private:
  explicit AppProcess(const engine::AttachmentOptions& options) : wires_(options) {}

  Status attach(const engine::AttachmentOptions& options, const AppHooks& hooks);
  Status wait_until_ready();
  void offer_status(const engine::AttachmentOptions& options);
  // control::Subject
  bool look(const std::function<void(engine::Worker&, Instant)>& with) override;
  const rdma::Device* device() const override { return device_.load(std::memory_order_acquire); }

  engine::WireOpener wires_;
  engine::HostOptions host_;
  std::unique_ptr<engine::AppEngine> engine_;
  std::unique_ptr<engine::AppSockets> sockets_;
  std::atomic<const rdma::Device*> device_{nullptr};
  std::unique_ptr<control::Server> status_;  // null: there is no place for its socket
};

}  // namespace tideline::shim
