// SPDX-License-Identifier: Apache-2.0
#include <tideline/engine.h>

#include <utility>

#include "api/address.h"
#include "api/datagram_state.h"
#include "api/runtime.h"
#include "api/stream_state.h"

namespace tideline {

Result<Engine> Engine::open(const EngineOptions& options) {
  auto runtime = api::Runtime::open(options);
  if (!runtime) return fail(std::move(runtime.error()));
  return Engine(std::move(*runtime));
}

Engine::Engine(std::unique_ptr<api::Runtime> runtime) : runtime_(std::move(runtime)) {}
Engine::Engine(Engine&& other) noexcept = default;
Engine& Engine::operator=(Engine&& other) noexcept = default;
Engine::~Engine() = default;

Result<Host> Engine::add_host(const HostOptions& options) {
  if (Status s = runtime_->add_host(options); !s) return fail(std::move(s.error()));
  return Host(runtime_.get());
}

bool Engine::poll() { return runtime_->poll(); }
bool Engine::wait(std::chrono::nanoseconds timeout) { return runtime_->wait(timeout); }
std::optional<Event> Engine::next() { return runtime_->next(); }
void Engine::wake() noexcept { runtime_->wake(); }
bool Engine::drain(std::chrono::nanoseconds timeout) { return runtime_->drain(timeout); }

std::span<std::byte> Engine::allocate_memory(std::size_t size) { return runtime_->allocate(size); }

Result<Region> Engine::register_memory(std::span<const std::byte> memory) {
  if (memory.empty()) {
    return fail({.kind = ErrorKind::kUsage, .what = "a region of no bytes"});
  }
  return Region(memory);
}

std::size_t Engine::mtu() const { return runtime_->mtu(); }
std::uint64_t Engine::seed() const { return runtime_->seed(); }
EngineStats Engine::stats() const { return runtime_->stats(); }
Status Engine::flush_capture() { return runtime_->flush_capture(); }

bool Host::is_ready() const { return runtime_->host().is_ready(); }

Status Host::wait_until_ready(std::chrono::nanoseconds timeout) const {
  return runtime_->wait_until_ready(timeout);
}

const std::vector<std::string>& Host::ip4() const { return runtime_->ip4(); }
const std::vector<std::string>& Host::ip6() const { return runtime_->ip6(); }

Result<Listener> Host::listen(std::uint16_t port, const ListenOptions& options) const {
  auto listener = std::make_unique<api::ListenerState>(*runtime_, options);
  if (Status s = listener->listen(port); !s) return fail(std::move(s.error()));
  return Listener(std::move(listener));
}

Result<Stream> Host::connect(const Endpoint& remote, const StreamOptions& options) const {
  api::StreamState* stream = runtime_->make_stream(options);
  if (stream == nullptr) {
    return fail({.kind = ErrorKind::kExhausted, .what = "no memory is left for another stream"});
  }
  tcp::Tcp& tcp = runtime_->tcp();
  auto id = tcp.connect(api::to_tcp(remote), {}, api::to_tcp(options), stream->attachment(),
                        runtime_->now());
  if (!id) {
    stream->give_up();
    return fail(std::move(id.error()));
  }
  stream->join(*id, tcp.info(*id).tuple, false);
  return Stream(stream);
}

Result<DatagramSocket> Host::bind(std::uint16_t port) const {
  auto socket = std::make_unique<api::DatagramState>(*runtime_);
  if (Status s = socket->bind(port); !s) return fail(std::move(s.error()));
  return DatagramSocket(std::move(socket));
}

}  // namespace tideline
