// SPDX-License-Identifier: Apache-2.0
#include "api/rdma.h"

#include <sys/prctl.h>

#include <utility>

#include "api/address.h"
#include "base/fault_handler.h"
#include "wire/roce.h"

namespace tideline::api {
namespace {

bool wants_direct_path(const EngineOptions& options) {
  return options.wire.starts_with("shm:") && options.impair.empty() && options.capture.empty();
}

}  // namespace

Result<std::unique_ptr<RdmaEngine>> RdmaEngine::open(const EngineOptions& options,
                                                     const HostOptions& host) {
  if (Status s = install_fault_handlers(); !s) return fail(std::move(s.error()));
  std::unique_ptr<placement::Placement> placement;
  if (wants_direct_path(options)) {
    auto created = placement::Placement::create();
    if (!created) return fail(std::move(created.error()));
    placement = std::move(*created);
    // As in a verbs program: peers of this user may reach what is registered. prctl(2), Yama.
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  }
  auto runtime = Runtime::open(options, placement.get());
  if (!runtime) return fail(std::move(runtime.error()));
  std::unique_ptr<RdmaEngine> rdma(new RdmaEngine(std::move(placement)));
  rdma->engine_ = std::make_unique<Engine>(Inside::make(std::move(*runtime)));
  auto added = rdma->engine_->add_host(host);
  if (!added) return fail(std::move(added.error()));
  rdma->host_ = std::make_unique<Host>(*added);
  if (Status s = rdma->attach(); !s) return fail(std::move(s.error()));
  return rdma;
}

Status RdmaEngine::attach() {
  engine::Worker& worker = runtime().worker();
  ip::Stack& stack = worker.host()->stack();
  rng_ = Rng(engine::random_seed());
  device_ = std::make_unique<rdma::Device>(
      rdma::DeviceOptions{.node_guid = engine::eui64_of(worker.function().mac()),
                          .link_mtu = static_cast<std::uint16_t>(runtime().mtu())},
      stack, worker.pool(), rng_, keys_);
  rdma::Device& device = *device_;
  for (const std::string& text : host_->ip4()) {
    auto prefix = wire::Ipv4Prefix::from_text(text);
    if (!prefix) return fail(std::move(prefix.error()));
    device.gids().add({.gid = rdma::Gid::mapped(prefix->address)});
  }
  for (const std::string& text : host_->ip6()) {
    auto prefix = wire::Ipv6Prefix::from_text(text);
    if (!prefix) return fail(std::move(prefix.error()));
    device.gids().add({.gid = prefix->address});
  }
  if (placement_ != nullptr) {
    placement_->set_gids(device.gids());
    placement_->take_ownership();
    device.set_direct_path(&*placement_);
  }
  stack.udp().set_tunnel(wire::kRocePort, &device);
  worker.set_service(&service_.emplace(device, worker));
  context_ = &device.open(memory_, *this);
  return {};
}

RdmaEngine::~RdmaEngine() {
  if (device_ == nullptr) return;
  runtime().worker().set_service(nullptr);
  runtime().host().stack().udp().set_tunnel(wire::kRocePort, nullptr);
  if (context_ != nullptr) device_->close(*context_);
  if (placement_ != nullptr) placement_->release_ownership();
  device_.reset();
  // The wire still knows the placement.
  engine_.reset();
}

std::optional<std::uint8_t> RdmaEngine::gid_index_of(const Endpoint& local) const {
  const wire::Ipv6Address address(local.address);
  const rdma::GidTable& gids = device_->gids();
  for (std::size_t i = 0; i < rdma::GidTable::size(); ++i) {
    const std::optional<rdma::GidEntry>& entry = gids.at(i);
    if (entry && entry->gid == address) return static_cast<std::uint8_t>(i);
  }
  return std::nullopt;
}

packet::PassCounter RdmaEngine::passes() {
  packet::PassCounter passes = runtime().pass_counter();
  passes.add(device_->counters().passes);
  return passes;
}

void RdmaEngine::completion(rdma::CompletionQueue& cq) {
  static_cast<Source*>(cq.user())->mark(Ready::kReadable);
}

}  // namespace tideline::api
