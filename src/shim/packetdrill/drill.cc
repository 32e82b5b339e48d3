// SPDX-License-Identifier: Apache-2.0
#include "shim/packetdrill/drill.h"

#include <utility>

#include "base/clock.h"
#include "engine/drops.h"
#include "packet/pool.h"
#include "shim/packetdrill/kernel.h"
#include "shim/sockets/bootstrap.h"

namespace tideline::shim {

// The engine that the shim joins is the script's (shim/sockets/bootstrap.h).
Result<client::Sockets*> sockets::join_engine() { return &packetdrill::drill; }
void sockets::report_engine(bool /*counters*/) {}

}  // namespace tideline::shim

namespace tideline::shim::packetdrill {
namespace {

using Turn = engine::AppEngine::Turn;

// The router behind which all others are; the wire answers for it. Of IPv4 it must be of our
// network: the first or the second address of it.
wire::Ipv4Address gateway_of(const wire::Ipv4Prefix& ours) {
  const wire::Ipv4Address first(ours.network().value() + 1);
  return first == ours.address ? wire::Ipv4Address(first.value() + 1) : first;
}
constexpr wire::Ipv6Address kGateway6(0xfe80000000000000, 1);

// A turn leads to another while the wire answers, or bursts are full.
constexpr int kMostTurns = 100000;
constexpr std::uint64_t kSeed = 1;

}  // namespace

Drill drill;

void Drill::start(Knobs knobs) {
  knobs_ = std::move(knobs);
  if (knobs_.real_time) {
    sleep_in_real_time();
  } else {
    sleep_in_virtual_time();
    timekeeper.start_virtual(*this);
  }
}

void Drill::stop() {
  engine_.reset();  // TCP lets go of the sockets
  sockets_.reset();
  wire_ = nullptr;
  timekeeper.stop();
  sleep_in_real_time();
}

engine::AppSockets& Drill::sockets() {
  const std::scoped_lock lock(mutex_);
  if (sockets_ == nullptr) {
    if (const Status opened = open_engine(); !opened) give_up(opened.error().message().c_str());
  }
  return *sockets_;
}

Status Drill::open_engine() {
  if (knobs_.sysctls) knobs_.take_sysctls();
  auto pool = packet::Pool::create({.segments = 4096, .loans = 4096, .huge_pages = false});
  if (!pool) return fail(std::move(pool.error()));
  auto wire = ScriptWire::create(knobs_.host.mtu, **pool);
  if (!wire) return fail(std::move(wire.error()));
  wire_ = wire->get();
  auto worker = engine::Worker::create(std::move(*pool), std::move(*wire), kSeed);
  if (!worker) return fail(std::move(worker.error()));
  engine::HostOptions host = knobs_.host;
  host.max_connections = 256;
  if (!host.ipv4.empty()) host.gateways4 = {gateway_of(host.ipv4.front())};
  if (!host.ipv6.empty()) host.gateways6 = {kGateway6};
  if (Status s = (*worker)->add_host(host); !s) return s;
  auto engine = engine::AppEngine::start(std::move(*worker), {.helper = knobs_.real_time});
  if (!engine) return fail(std::move(engine.error()));
  engine_ = std::move(*engine);
  sockets_ = std::make_unique<engine::AppSockets>(*engine_);
  return {};
}

client::Sockets::Sleep Drill::begin_sleep(bool drives) {
  // In virtual time whoever moves the clock drives the engine.
  return knobs_.real_time ? sockets().begin_sleep(drives) : Sleep{};
}

Instant Drill::next_deadline() {
  Instant next = kNever;
  if (engine_ != nullptr) {
    engine_->exclusively(
        [&](engine::Worker& worker, Instant /*now*/) { next = worker.next_deadline(); },
        Turn::kNone);
  }
  return next;
}

void Drill::drive() {
  if (engine_ == nullptr) return;
  engine_->exclusively(
      [&](engine::Worker& worker, Instant /*now*/) {
        for (int turns = 0; worker.turn(monotonic_now()) || wire_->has_received(); ++turns) {
          if (turns == kMostTurns) give_up("the engine does not come to rest");
        }
      },
      Turn::kNone);
}

bool Drill::send(std::span<const std::byte> packet) {
  bool taken = false;
  sockets();
  engine_->exclusively(
      [&](engine::Worker& /*worker*/, Instant /*now*/) { taken = wire_->inject(packet); },
      Turn::kNone);
  drive();
  return taken;
}

std::string Drill::drops() {
  std::string text;
  engine_->exclusively(
      [&](engine::Worker& worker, Instant /*now*/) {
        for (const auto& [name, count] : engine::list_drops(worker)) {
          text += " " + name + "=" + std::to_string(count);
        }
      },
      Turn::kNone);
  return text.empty() ? " the stack has dropped nothing" : " dropped:" + text;
}

void Drill::finish_call() { drive(); }

SentPacket Drill::receive() {
  sockets();
  if (knobs_.real_time) {
    if (auto packet = wire_->wait(knobs_.patience)) return std::move(*packet);
  } else {
    const Instant end = timekeeper.now() + knobs_.patience;
    do {
      timekeeper.settle();
      if (auto packet = wire_->take()) return std::move(*packet);
    } while (timekeeper.step(end));
  }
  give_up(("no packet comes;" + drops()).c_str());
}

}  // namespace tideline::shim::packetdrill
