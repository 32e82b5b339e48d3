// SPDX-License-Identifier: Apache-2.0
// Connections by name. The hash is keyed, so that nobody outside can aim for one chain. Thread: the
// worker's.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/siphash.h"
#include "tcp/slab.h"
#include "tcp/tcb.h"

namespace tideline::tcp {

class ConnectionTable {
 public:
  ConnectionTable(Slab<Tcb>& tcbs, const HashKey& key)
      : tcbs_(tcbs), key_(key), buckets_(std::bit_ceil(tcbs.capacity()), 0) {}

  Tcb* find(const Tuple& tuple) {
    for (std::uint32_t i = bucket(tuple); i != 0;) {
      Tcb& tcb = tcbs_.at(i - 1);
      if (tcb.tuple == tuple) return &tcb;
      i = tcb.chain;
    }
    return nullptr;
  }
  // It is not in the table.
  void insert(Tcb& tcb) {
    std::uint32_t& head = bucket(tcb.tuple);
    tcb.chain = head;
    head = tcbs_.index_of(tcb) + 1;
  }
  // Nothing happens if it is not in the table.
  void erase(Tcb& tcb) {
    const std::uint32_t wanted = tcbs_.index_of(tcb) + 1;
    for (std::uint32_t* link = &bucket(tcb.tuple); *link != 0; link = &tcbs_.at(*link - 1).chain) {
      if (*link != wanted) continue;
      *link = tcb.chain;
      return;
    }
  }

 private:
  std::uint32_t& bucket(const Tuple& tuple) {
    return buckets_[siphash(key_, tuple.words()) & (buckets_.size() - 1)];
  }

  Slab<Tcb>& tcbs_;
  HashKey key_;
  std::vector<std::uint32_t> buckets_;  // index + 1 of the first; 0: none
};

}  // namespace tideline::tcp
