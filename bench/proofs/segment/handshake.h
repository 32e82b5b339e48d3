// SPDX-License-Identifier: Apache-2.0
// How a sender meets its destination: it connects to the destination's socket and sends Hello with
// the descriptors of its ring and arena; the destination maps them and answers Welcome with those
// of its index and hint pages. The connection stays open for its hang-up, which tells either side
// that the other has ended. No call here blocks: the kernel queues the connection and the message
// for a destination that is stopped. Control path; thread: any.
#pragma once

#include <cstddef>
#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "base/memfd.h"
#include "proofs/segment/layout.h"
#include "proofs/segment/lease.h"

namespace proofs::segment {

// Memory that this member owns and writes.
struct Region {
  tideline::UniqueFd fd;
  tideline::Mapping memory;

  // Mapped, populated, sealed: ready to be passed on.
  static tideline::Result<Region> make(const char* name, std::size_t bytes,
                                       tideline::PageKind pages, tideline::Sharing sharing);
};

// A listening, non-blocking socket at the slot's path.
tideline::Result<tideline::UniqueFd> listen_at(const MeetingPoint& meeting_point, unsigned slot);
// The next connection on `listener`, non-blocking; none if there is none.
std::optional<tideline::UniqueFd> accept_from(int listener);

// Connects to a slot's socket and sends `hello` with the descriptors.
tideline::Result<tideline::UniqueFd> send_hello(const MeetingPoint& meeting_point,
                                                unsigned destination, const Hello& hello, int ring,
                                                int arena);

// What a sender has shown, verified and mapped.
struct Arrival {
  Hello hello;
  tideline::Mapping ring;
  tideline::Mapping arena;
};
// Reads one Hello. Refuses memory that is not sealed or smaller than said, bounds that are out of
// range, and a sender that does not own the slot it names. No value: nothing has arrived yet.
tideline::Result<std::optional<Arrival>> receive_hello(const MeetingPoint& meeting_point,
                                                       unsigned slots, int socket);

tideline::Status send_welcome(int socket, int index, int hints);
tideline::Status send_refusal(int socket);

// The destination's pages, verified and mapped.
struct Acceptance {
  tideline::Mapping index;
  tideline::Mapping hints;
};
// Reads the answer. No value: it has not come yet.
tideline::Result<std::optional<Acceptance>> receive_welcome(int socket);

}  // namespace proofs::segment
