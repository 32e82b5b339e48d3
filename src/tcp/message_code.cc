// SPDX-License-Identifier: Apache-2.0
#include "tcp/message_code.h"

#include <nettle/memops.h>

#include <cstring>
#include <string_view>

#include "base/check.h"
#include "wire/endian.h"

namespace tideline::tcp {
namespace {

const std::uint8_t* octets(std::span<const std::byte> bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

// Bytes in the order in which they are put.
class Input {
 public:
  template <typename Value>
  void put(const Value& value) {
    std::memcpy(bytes_.data() + size_, &value, sizeof(value));
    size_ += sizeof(value);
  }
  void put(const wire::Ipv6Address& address) {
    if (address.is_mapped()) {
      put(address.mapped_ipv4());
    } else {
      put<wire::Ipv6Address>(address);
    }
  }
  const std::uint8_t* data() const { return bytes_.data(); }
  std::size_t size() const { return size_; }

 private:
  std::array<std::uint8_t, 64> bytes_;
  std::size_t size_ = 0;
};

// RFC 5926 §3.1.1; the length is in bits.
Input key_input(const KeyContext& context, std::uint16_t output_length) {
  Input input;
  input.put(std::uint8_t{1});
  input.put(std::array{'T', 'C', 'P', '-', 'A', 'O'});
  input.put(context.source.address);
  input.put(context.destination.address);
  input.put(wire::be16(context.source.port));
  input.put(wire::be16(context.destination.port));
  input.put(wire::be32(context.source_isn));
  input.put(wire::be32(context.destination_isn));
  input.put(wire::be16(output_length));
  return input;
}

std::array<std::uint8_t, AES128_KEY_SIZE> cmac(const std::uint8_t* key, std::size_t size,
                                               const std::uint8_t* message) {
  cmac_aes128_ctx state;
  cmac_aes128_set_key(&state, key);
  cmac_aes128_update(&state, size, message);
  std::array<std::uint8_t, AES128_KEY_SIZE> out;
  cmac_aes128_digest(&state, out.size(), out.data());
  return out;
}

// §3.1.1.2: a master key of any length.
std::array<std::uint8_t, AES128_KEY_SIZE> aes_key(std::span<const std::byte> master) {
  std::array<std::uint8_t, AES128_KEY_SIZE> key{};
  if (master.size() != key.size()) return cmac(key.data(), master.size(), octets(master));
  std::memcpy(key.data(), master.data(), key.size());
  return key;
}

}  // namespace

TrafficKey derive_key(MacAlgorithm algorithm, std::span<const std::byte> master,
                      const KeyContext& context) {
  TrafficKey key;
  switch (algorithm) {
    case MacAlgorithm::kHmacSha1: {
      key.size = SHA1_DIGEST_SIZE;
      const Input input = key_input(context, 8 * SHA1_DIGEST_SIZE);
      hmac_sha1_ctx state;
      hmac_sha1_set_key(&state, master.size(), octets(master));
      hmac_sha1_update(&state, input.size(), input.data());
      hmac_sha1_digest(&state, key.size, key.bytes.data());
      break;
    }
    case MacAlgorithm::kAesCmac: {
      key.size = AES128_KEY_SIZE;
      const Input input = key_input(context, 8 * AES128_KEY_SIZE);
      const auto out = cmac(aes_key(master).data(), input.size(), input.data());
      std::memcpy(key.bytes.data(), out.data(), out.size());
      break;
    }
  }
  return key;
}

MessageCode::MessageCode(MacAlgorithm algorithm, const TrafficKey& key) {
  switch (algorithm) {
    case MacAlgorithm::kHmacSha1:
      hmac_sha1_set_key(&state_.emplace<hmac_sha1_ctx>(), key.size, key.bytes.data());
      break;
    case MacAlgorithm::kAesCmac:
      cmac_aes128_set_key(&state_.emplace<cmac_aes128_ctx>(), key.bytes.data());
      break;
  }
}

void MessageCode::add(std::span<const std::byte> bytes) {
  if (auto* hmac = std::get_if<hmac_sha1_ctx>(&state_)) {
    hmac_sha1_update(hmac, bytes.size(), octets(bytes));
  } else if (auto* cmac = std::get_if<cmac_aes128_ctx>(&state_)) {
    cmac_aes128_update(cmac, bytes.size(), octets(bytes));
  }
}

MessageCode::Code MessageCode::take() {
  Code code;
  auto* out = reinterpret_cast<std::uint8_t*>(code.data());
  if (auto* hmac = std::get_if<hmac_sha1_ctx>(&state_)) {
    hmac_sha1_digest(hmac, code.size(), out);
  } else if (auto* cmac = std::get_if<cmac_aes128_ctx>(&state_)) {
    cmac_aes128_digest(cmac, code.size(), out);
  }
  return code;
}

bool are_equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && nettle_memeql_sec(a.data(), b.data(), a.size()) != 0;
}

}  // namespace tideline::tcp
