// SPDX-License-Identifier: Apache-2.0
// How a sender meets its destination: it connects to the destination's socket and sends Hello with
// the descriptors of its ring and arena; the destination maps them and answers Welcome with those
// of its index and hint pages. The connection stays open for its hang-up, which tells either side
// that the other has ended. No call here blocks: the kernel queues the connection and the message
// for a destination that is stopped. Control path; thread: any.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "base/memfd.h"
#include "port/shm/layout.h"
#include "port/shm/meeting_point.h"

namespace tideline::port::shm {

// Memory that this member owns and writes.
struct Region {
  UniqueFd fd;
  Mapping memory;
  bool collapsed = false;

  // Mapped, populated, sealed: ready to be passed on. `collapse`: on 2 MiB pages, if the kernel has
  // them.
  static Result<Region> make(const char* name, std::size_t bytes, PageKind pages, Sharing sharing,
                             bool collapse = false);
};

// A listening, non-blocking socket at the slot's path.
Result<UniqueFd> listen_at(const MeetingPoint& meeting_point, unsigned slot);
// The next connection on `listener`, non-blocking; none if there is none.
std::optional<UniqueFd> accept_from(int listener);

// Connects to a slot's socket and sends `hello` with the descriptors; `own` is for Peers, -1: none.
Result<UniqueFd> send_hello(const MeetingPoint& meeting_point, unsigned destination,
                            const Hello& hello, int ring, int arena, int own = -1);

// What a sender has shown, verified and mapped.
struct Arrival {
  Hello hello;
  Mapping ring;
  Mapping arena;
  UniqueFd theirs;  // for Peers, unverified; may be none
};
// Reads one Hello. Refuses memory that is not sealed or smaller than said, bounds that are out of
// range, and a sender that does not own the slot it names. No value: nothing has arrived yet.
Result<std::optional<Arrival>> receive_hello(const MeetingPoint& meeting_point, unsigned slots,
                                             int socket);

Status send_welcome(int socket, int index, int hints, int own = -1);
Status send_refusal(int socket);

// The destination's pages, verified and mapped.
struct Acceptance {
  Mapping index;
  Mapping hints;
  UniqueFd theirs;  // for Peers, unverified; may be none
  pid_t pid = 0;    // of who listens there, as the kernel says; 0 in another pid namespace
};
// Reads the answer. No value: it has not come yet.
Result<std::optional<Acceptance>> receive_welcome(int socket);

}  // namespace tideline::port::shm
