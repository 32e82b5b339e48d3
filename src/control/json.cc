// SPDX-License-Identifier: Apache-2.0
#include "control/json.h"

namespace tideline::control {

void JsonWriter::separate() {
  if (needs_comma_) text_ += ',';
  needs_comma_ = true;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  text_ += bracket;
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view token) {
  separate();
  text_ += token;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  quote(name);
  text_ += ':';
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  quote(text);
  return *this;
}

// RFC 8259 §7. Bytes beyond ASCII may be no UTF-8 (names of programs are any bytes), so they are
// not passed on.
void JsonWriter::quote(std::string_view text) {
  text_ += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (c >= 0x20 && c < 0x7f) {
      text_ += c;
    } else {
      text_ += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    }
  }
  text_ += '"';
}

}  // namespace tideline::control
