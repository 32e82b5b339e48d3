// SPDX-License-Identifier: Apache-2.0
// The calls of a channel: docs/queue-pair.md, "Calls".
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "client/records.h"
#include "engine/queue_server.h"
#include "engine/served_channel.h"
#include "engine/served_sockets.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::Outcome;
using queue::Op;
using queue::Request;
using queue::Response;

Response failed(Failure failure) { return {.failure = static_cast<std::uint32_t>(failure)}; }

Response done(const Outcome<void>& outcome) {
  return failed(outcome ? Failure::kNone : outcome.error());
}

std::optional<client::Endpoint> endpoint_of(const Request& request) {
  if ((request.flags & queue::kHasEndpoint) == 0) return std::nullopt;
  return client::from_record(request.endpoint);
}

}  // namespace

bool ServedChannel::answer_call(Instant now) {
  queue::CallSlot& slot = memory().call;
  called_ = false;
  const std::uint32_t asked = slot.asked.load(std::memory_order_acquire);
  if (asked == answered_) {
    // The hint was about a wish, and the epoll descriptor would tell of it later.
    wished_ = true;
    return true;
  }
  if (asked != answered_ + 1) {
    end(EndReason::kBadCall);
    return true;
  }
  // A copy, which does not change while it is looked at.
  Request request;
  std::memcpy(&request, &slot.request, sizeof(request));
  std::optional<Response> response;
  if (request.op != Op::kVerbs) {
    response = execute(request, now);
  } else if (answer_verbs(now)) {
    response.emplace();
  }
  if (!response) {
    called_ = state_ == State::kServing;
    return true;
  }
  ++calls_;
  std::memcpy(&slot.response, &*response, sizeof(*response));
  // Who sleeps says so first, and then looks: both in one order.
  slot.answered.store(++answered_, std::memory_order_seq_cst);
  if (slot.sleeps.load(std::memory_order_seq_cst) != 0) {
    ::syscall(SYS_futex, &slot.answered, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  return true;
}

// What was posted before the call comes first: those hints were left before `asked` was moved. A
// program that posts without end is answered in the end.
bool ServedChannel::answer_verbs(Instant now) {
  constexpr int kMostTurns = 512;
  take_hints();
  if (hinted_words_ != 0 && verbs_put_off_++ < kMostTurns) return false;
  verbs_put_off_ = 0;
  queue::CallSlot& slot = memory().call;
  queue::VerbsRequest request;
  std::memcpy(&request, &slot.verbs_request, sizeof(request));
  queue::VerbsResponse response;
  if (verbs() == nullptr) {
    response.error = ENODEV;
  } else {
    const auto done = verbs_->execute(request, response, now);
    if (!done) {
      end(done.error());
      return false;
    }
    response.error = static_cast<std::uint32_t>(*done);
  }
  std::memcpy(&slot.verbs_response, &response, sizeof(response));
  return true;
}

std::optional<Response> ServedChannel::execute(const Request& request, Instant now) {
  switch (request.op) {
    case Op::kOpen:
      return open(request);
    case Op::kRoute:
      return route(request);
    case Op::kOwnAddress:
      return own_address((request.flags & queue::kWantsIpv4) != 0);
    case Op::kBind:
    case Op::kListen:
    case Op::kConnect:
    case Op::kAccept:
    case Op::kShutDown:
    case Op::kClose:
    case Op::kSetOptions:
    case Op::kInfo:
    case Op::kDescribe:
    case Op::kTakeReport:
    case Op::kChangeKeys:
    case Op::kReadKey:
      if (ServedSocket* socket = find(request.handle)) return execute_on(*socket, request, now);
      end(EndReason::kBadHandle);
      return std::nullopt;
    case Op::kVerbs:
      break;
  }
  end(EndReason::kBadCall);
  return std::nullopt;
}

std::optional<Response> ServedChannel::execute_on(ServedSocket& socket, const Request& request,
                                                  Instant now) {
  const std::uint32_t handle = request.handle;
  const auto is = [&](std::uint16_t flag) { return (request.flags & flag) != 0; };
  switch (request.op) {
    case Op::kBind:
      return done(socket.bind(*this, client::from_record(request.endpoint),
                              !is(queue::kShared)      ? client::Sharing::kNone
                              : is(queue::kSharedPort) ? client::Sharing::kPort
                                                       : client::Sharing::kAddress));
    case Op::kListen:
      return done(socket.listen(request.number));
    case Op::kConnect:
      return done(socket.connect(*this, endpoint_of(request), now));
    case Op::kAccept:
      return accept(socket, now);
    case Op::kShutDown:
      return done(socket.shut_down(is(queue::kReceiving), is(queue::kSending), now));
    case Op::kClose:
      if (!is(queue::kAbort) && !is_drained(socket, now)) return std::nullopt;
      remove(handle, is(queue::kAbort), false, now);
      return Response{};
    case Op::kSetOptions:
      socket.set_options(client::from_record(request.options), now);
      return Response{};
    case Op::kInfo: {
      // What was sent from a socket without a port has given it one.
      if (!socket.look(*this, now)) return std::nullopt;
      Response response;
      response.info = client::to_record(socket.info());
      response.endpoint = client::to_record(socket.local());
      return response;
    }
    case Op::kDescribe:
      return describe(handle, socket);
    case Op::kTakeReport: {
      const auto report = socket.take_report();
      if (!report) return failed(Failure::kWouldBlock);
      Response response;
      response.report = client::to_record(*report);
      return response;
    }
    case Op::kChangeKeys: {
      // What is not needed any more is not left where the program's memory may be looked at.
      queue::KeyRecord record;
      std::memcpy(&record, &memory().call.key, sizeof(record));
      ::explicit_bzero(&memory().call.key, sizeof(record));
      const auto changed = socket.change_keys(client::from_record(record));
      ::explicit_bzero(&record, sizeof(record));
      return done(changed);
    }
    case Op::kReadKey: {
      const auto state = socket.read_key(request.number);
      if (!state) return failed(state.error());
      queue::KeyStateRecord record = client::to_record(*state);
      std::memcpy(&memory().call.key_state, &record, sizeof(record));
      ::explicit_bzero(&record, sizeof(record));
      return Response{};
    }
    case Op::kOpen:
    case Op::kRoute:
    case Op::kOwnAddress:
    case Op::kVerbs:
      break;
  }
  return failed(Failure::kInvalid);
}

Response ServedChannel::describe(std::uint32_t handle, const ServedSocket& socket) const {
  return {.handle = handle,
          .family = socket.family().number(),
          .page = socket.page_index(),
          .number = static_cast<std::uint32_t>(socket.type())};
}

Response ServedChannel::open(const Request& request) {
  ServedSockets& sockets = server_.sockets();
  ServedSocket* socket = nullptr;
  if (!has_free_handle()) return failed(Failure::kNoMemory);
  if (request.number == static_cast<std::uint32_t>(client::SocketType::kStream)) {
    socket = sockets.open_stream(family_);
  } else if (request.number == static_cast<std::uint32_t>(client::SocketType::kDatagram)) {
    socket = sockets.open_datagram(family_);
  } else {
    return failed(Failure::kInvalid);
  }
  if (socket == nullptr) return failed(Failure::kNoMemory);
  return describe(add(*socket), *socket);
}

Response ServedChannel::accept(ServedSocket& listener, Instant now) {
  if (listener.type() != client::SocketType::kStream) return failed(Failure::kNotSupported);
  if (!has_free_handle()) return failed(Failure::kNoMemory);
  const auto stream = static_cast<ServedStream&>(listener).accept(now);
  if (!stream) return failed(stream.error());
  return describe(add(**stream), **stream);
}

Response ServedChannel::route(const Request& request) const {
  const wire::Ipv6Address address(request.endpoint.address);
  ip::Stack& stack = server_.sockets().stack();
  Response response;
  if (engine::owns(stack, address)) response.number |= queue::kOwns;
  if (engine::reaches(stack, address)) response.number |= queue::kReaches;
  return response;
}

Response ServedChannel::own_address(bool ipv4) const {
  const auto address = engine::own_address(server_.sockets().stack(), ipv4);
  Response response;
  if (address) {
    response.endpoint = client::to_record(client::Endpoint{.address = *address});
    response.number = 1;
  }
  return response;
}

}  // namespace tideline::engine
