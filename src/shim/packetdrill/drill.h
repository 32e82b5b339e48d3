// SPDX-License-Identifier: Apache-2.0
// The engine of one script: the sockets shim's, on a wire to the script. It starts when the script
// first asks for the time, or for a socket: then its preparations have left their knobs, and none
// of its own time is lost. Thread: any, unless a function says otherwise.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "client/sockets.h"
#include "engine/app_engine.h"
#include "engine/app_sockets.h"
#include "shim/packetdrill/knobs.h"
#include "shim/packetdrill/timekeeper.h"
#include "shim/packetdrill/wire.h"

namespace tideline::shim::packetdrill {

class Drill final : public client::Sockets, private Timekeeper::Driven {
 public:
  // Script's thread.
  void start(Knobs knobs);
  void stop();
  // Starts the engine, unless it runs.
  void prepare() { sockets(); }
  // Script's thread. False: not a packet.
  bool send(std::span<const std::byte> packet);
  // Script's thread. The next packet, however long it takes, within the knobs' patience.
  SentPacket receive();
  // A call of the script's on a socket is over: does what it has left to do.
  void finish_call();
  const Knobs& knobs() const { return knobs_; }

  // --- client::Sockets, for the shim.
  client::Outcome<client::Socket*> open(client::SocketType type) override {
    return sockets().open(type);
  }
  bool owns(const wire::Ipv6Address& address) override { return sockets().owns(address); }
  bool reaches(const wire::Ipv6Address& address) override { return sockets().reaches(address); }
  std::optional<wire::Ipv6Address> own_address(bool ipv4) override {
    return sockets().own_address(ipv4);
  }
  Result<std::unique_ptr<client::Waiter>> take_waiter() override { return sockets().take_waiter(); }
  void give_waiter(std::unique_ptr<client::Waiter> waiter) override {
    sockets().give_waiter(std::move(waiter));
  }
  void poll() override { sockets().poll(); }
  Sleep begin_sleep(bool drives) override;
  void end_sleep(const Sleep& sleep) override { sockets().end_sleep(sleep); }
  bool is_alive() override { return engine_ != nullptr; }
  // packetdrill ends when its script does: nobody listens any more.
  void finish(Duration /*limit*/) override {}

 private:
  Instant next_deadline() override;
  void drive() override;

  engine::AppSockets& sockets();
  Status open_engine();
  std::string drops();

  Knobs knobs_;
  std::mutex mutex_;  // start of the engine
  ScriptWire* wire_ = nullptr;
  std::unique_ptr<engine::AppEngine> engine_;
  std::unique_ptr<engine::AppSockets> sockets_;
};

// DEVIATES: a global, as the descriptor table of the shim.
extern Drill drill;

}  // namespace tideline::shim::packetdrill
