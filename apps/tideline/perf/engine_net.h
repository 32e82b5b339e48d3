// SPDX-License-Identifier: Apache-2.0
// How perf uses tideline: the public API, and how payload is moved over it. kernel_net.h has the
// same face over sockets. One thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <tideline/engine.h>

#include "udp_blast/effort.h"

namespace tideline::app::flow {

// Payload: the same bytes again and again, as programs reuse their buffers.
inline constexpr std::size_t kPayload = std::size_t{256} << 10;

class EngineNet {
 public:
  using Stream = tideline::Stream;
  using Listener = tideline::Listener;

  // `copies`: payload is copied into the engine's buffers and out of them, as with sockets; else it
  // is lent, and read in place.
  EngineNet(Engine& engine, const Host& host, bool copies)
      : engine_(engine),
        host_(host),
        copies_(copies),
        payload_(engine.allocate_memory(kPayload)),
        sink_(copies ? kPayload : 0) {
    region_ = *engine.register_memory(payload_);
  }

  Result<Listener> listen(std::uint16_t port, const ListenOptions& options) {
    return host_.listen(port, options);
  }
  Result<Stream> connect(const Endpoint& remote, const StreamOptions& options) {
    return host_.connect(remote, options);
  }
  bool poll() { return engine_.poll(); }
  bool wait(Duration timeout) { return engine_.wait(timeout); }
  std::optional<Event> next() { return engine_.next(); }
  void drain(Duration timeout) { engine_.drain(timeout); }

  // Sends up to `size` bytes of payload; returns how many.
  std::size_t send(Stream& stream, std::size_t size) {
    size = std::min(size, kPayload);
    if (copies_) return stream.write(payload_.first(size));
    return stream.lend(region_, 0, size) ? size : 0;
  }
  // Takes up to `most` bytes of what was received; returns how many.
  std::size_t take(Stream& stream, std::size_t most) {
    if (copies_) return stream.read(std::span(sink_).first(std::min(most, sink_.size())));
    const std::size_t size = std::min(stream.received().size(), most);
    if (size > 0) stream.consume(size);
    return size;
  }

  blast::Effort effort() {
    const EngineStats stats = engine_.stats();
    blast::Effort effort{
        .cpu_ns = blast::process_cpu_ns(), .passed = stats.passed, .copied = stats.copied};
    for (const auto& [name, count] : stats.drops) effort.dropped += count;
    return effort;
  }

 private:
  Engine& engine_;
  Host host_;
  bool copies_;
  std::span<std::byte> payload_;
  std::vector<std::byte> sink_;
  Region region_;
};

}  // namespace tideline::app::flow
