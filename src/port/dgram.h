// SPDX-License-Identifier: Apache-2.0
// Raw frames over AF_UNIX datagrams, a frame each: what QEMU speaks with
// `-netdev dgram,local.type=unix,local.path=..,remote.type=unix,remote.path=..`, and two programs
// on one machine. No offload metadata passes: checksums are filled in on the way, and there is no
// segmentation offload. The kernel copies each frame twice. One queue.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "port/port.h"

namespace tideline::port {

struct DgramPortOptions {
  std::size_t mtu = 1500;
  wire::MacAddress mac{{0x02, 0, 0, 0, 0, 1}};
};

class DgramPort final : public Port {
 public:
  // The local path is made, and removed at the end; one that a dead program has left is taken over.
  // The remote end may come later, go, and come again.
  static Result<std::unique_ptr<DgramPort>> open(const std::string& local,
                                                 const std::string& remote, Pool* pool,
                                                 const DgramPortOptions& options = {});
  ~DgramPort() override;

  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  int fd(unsigned /*queue*/) const override { return socket_.get(); }

 private:
  DgramPort(PortInfo info, UniqueFd socket, const sockaddr_un& local, const sockaddr_un& remote,
            Pool* pool);
  std::size_t send(QueueStats& stats, std::span<mmsghdr> messages) const;

  UniqueFd socket_;
  sockaddr_un local_;
  sockaddr_un remote_;
  Pool* pool_;
  // What the next frames are received into; each large enough for a frame and one byte more, which
  // tells that a frame was too long.
  std::array<PacketPtr, Burst::kCapacity> fresh_;
};

}  // namespace tideline::port
