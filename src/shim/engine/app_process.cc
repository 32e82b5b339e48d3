// SPDX-License-Identifier: Apache-2.0
#include "shim/engine/app_process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/rdma_service.h"

namespace tideline::shim {
namespace {

// TIME-WAIT included. More than a program has descriptors for; the rest costs address space.
constexpr std::size_t kMostConnections = 65536;

std::vector<std::string> words_of(const char* variable) {
  std::vector<std::string> words;
  const std::string value = text_of(variable);
  for (std::string_view rest = value; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (comma > 0) words.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return words;
}

}  // namespace

std::string text_of(const char* variable, const char* otherwise) {
  const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): at start only
  return value == nullptr ? otherwise : value;
}

engine::AttachmentOptions options_from_environment() {
  engine::AttachmentOptions options{.wire = text_of("TIDELINE_WIRE", engine::kDefaultWire),
                                    .ip4 = words_of("TIDELINE_IP"),
                                    .ip6 = words_of("TIDELINE_IP6"),
                                    .gateways = words_of("TIDELINE_GATEWAY"),
                                    .impair = text_of("TIDELINE_IMPAIR"),
                                    .capture = text_of("TIDELINE_CAPTURE")};
  if (const std::string mtu = text_of("TIDELINE_MTU"); !mtu.empty()) {
    options.mtu = std::strtoul(mtu.c_str(), nullptr, 10);
  }
  options.mtu_probing = text_of("TIDELINE_MTU_PROBING", engine::kDefaultMtuProbing);
  if (const std::string seed = text_of("TIDELINE_SEED"); !seed.empty()) {
    options.seed = std::strtoull(seed.c_str(), nullptr, 10);
  }
  // Processes of one program must not write into one file.
  if (const std::size_t mark = options.capture.find("%p"); mark != std::string::npos) {
    options.capture.replace(mark, 2, std::to_string(::getpid()));
  }
  return options;
}

Result<std::unique_ptr<AppProcess>> AppProcess::start(const engine::AttachmentOptions& options,
                                                      const AppHooks& hooks) {
  std::unique_ptr<AppProcess> process(new AppProcess(options));
  if (Status s = process->attach(options, hooks); !s) return fail(std::move(s.error()));
  return process;
}

Status AppProcess::attach(const engine::AttachmentOptions& options, const AppHooks& hooks) {
  auto pool = packet::Pool::create({.segments = 16384, .loans = 8192});
  if (!pool) return fail(std::move(pool.error()));
  engine::Leases leases;
  auto port = wires_.open(options.wire, **pool, false, leases);
  if (!port) return fail(std::move(port.error()));
  const std::size_t mtu = options.mtu == 0 ? (*port)->info().mtu : options.mtu;
  auto host = engine::host_options(options, leases, mtu);
  if (!host) return fail(std::move(host.error()));
  host_ = std::move(*host);
  host_.max_connections = kMostConnections;
  auto created = engine::Worker::create(std::move(*pool), std::move(*port), engine::random_seed());
  if (!created) return fail(std::move(created.error()));
  // The GID at index 0, which programs of verbs use that are told none; an address of the host like
  // the others.
  host_.ipv6.insert(host_.ipv6.begin(),
                    {.address = wire::Ipv6Address(0xfe80000000000000,
                                                  engine::eui64_of((*created)->function().mac())),
                     .length = 64});
  if (Status s = (*created)->add_host(host_); !s) return s;
  if (hooks.addresses_known != nullptr) hooks.addresses_known(hooks.context, host_);
  auto engine = engine::AppEngine::start(std::move(*created), hooks.app);
  if (!engine) return fail(std::move(engine.error()));
  engine_ = std::move(*engine);
  sockets_ = std::make_unique<engine::AppSockets>(*engine_);
  offer_status(options);
  if (!text_of("TIDELINE_TELL").empty() && !leases.empty()) {
    std::fprintf(stderr, "tideline: %s leased on %s\n", leases.text().c_str(),
                 options.wire.c_str());
  }
  return wait_until_ready();
}

// Where `tideline status` asks. The program works as well without.
void AppProcess::offer_status(const engine::AttachmentOptions& options) {
  control::Identity identity{.wire = options.wire};
  for (const auto& prefix : host_.ipv4) identity.addresses.push_back(prefix.to_text());
  for (const auto& prefix : host_.ipv6) identity.addresses.push_back(prefix.to_text());
  auto server = control::Server::start(*this, std::move(identity));
  if (server) status_ = std::move(*server);
}

bool AppProcess::look(const std::function<void(engine::Worker&, Instant)>& with) {
  return engine_->exclusively(
      [&](engine::Worker& worker, Instant /*none*/) { with(worker, monotonic_now()); },
      engine::AppEngine::Turn::kNone);
}

// Addresses are tested for duplicates, which takes a second or two where the wire does not lease
// them.
Status AppProcess::wait_until_ready() {
  constexpr Duration kPatience = std::chrono::seconds(10);
  const Instant end = monotonic_now() + kPatience;
  bool ready = false;
  std::optional<Error> conflict;
  while (!ready && !conflict && monotonic_now() < end) {
    engine_->exclusively([&](engine::Worker& worker, Instant /*now*/) {
      ready = worker.host()->is_ready();
      conflict = worker.host()->conflict();
    });
    if (!ready) ::usleep(1000);
  }
  if (conflict) return fail(std::move(*conflict));
  if (ready) return {};
  return fail({.kind = ErrorKind::kEnvironment, .what = "the host's addresses do not get ready"});
}

packet::PassCounter AppProcess::passes(engine::Worker& worker) const {
  packet::PassCounter all = worker.port().stats(0).passes;
  all.add(worker.function().stats().passes);
  all.add(worker.host()->stack().passes());
  all.add(worker.host()->tcp().passes());
  all.add(sockets_->passes());
  return all;
}

std::string AppProcess::report(engine::Worker& worker) const {
  const port::QueueStats wire = worker.port().stats(0);
  std::string text = fmt::format(" wire_rx={} wire_tx={}", wire.rx_frames, wire.tx_frames);
  for (std::size_t i = 0; i < port::kDropCount; ++i) {
    const auto reason = static_cast<port::Drop>(i);
    if (wire.dropped(reason) == 0) continue;
    text += fmt::format(" {}={}", port::name_of(reason), wire.dropped(reason));
  }
  return text;
}

void AppProcess::flush_capture() {
  if (Status s = wires_.flush(); !s) {
    std::fprintf(stderr, "tideline: %s\n", s.error().message().c_str());
  }
}

}  // namespace tideline::shim
