// SPDX-License-Identifier: Apache-2.0
// Reads the values of a TOML table and says of each that is wrong where it stands, what is wrong,
// and what would be right. For config.cc, which turns the Complaint into an Error.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace tideline::daemon {

// "FILE:LINE: what".
class Complaint : public std::runtime_error {
 public:
  Complaint(const toml::source_region& at, const std::string& what, std::string remedy);
  const std::string& remedy() const { return remedy_; }

 private:
  std::string remedy_;
};

// A text that can be complained about.
struct Located {
  std::string text;
  toml::source_region at;
};

class TomlReader {
 public:
  // `title` is the table's as the user writes it: "[[host]]". The table outlives the reader.
  TomlReader(const toml::table& table, std::string title)
      : table_(table), title_(std::move(title)) {}

  // Each looks for a key, which is known from then on. Nothing if it is not there.
  std::optional<std::string> text(std::string_view key);
  std::optional<bool> truth(std::string_view key);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<double> real(std::string_view key, double least, double most);
  // A text, or a list of texts.
  std::vector<Located> texts(std::string_view key);
  // Bytes: a number, or a text like "64MiB".
  std::optional<std::size_t> bytes(std::string_view key);
  const toml::node* node(std::string_view key);
  const toml::table* table(std::string_view key);
  // The tables of [[key]].
  std::vector<const toml::table*> tables(std::string_view key);

  toml::source_region at(std::string_view key) const;
  toml::source_region at() const { return table_.source(); }

  // Complains of keys that nobody has asked for.
  void finish() const;

 private:
  [[noreturn]] void complain(const toml::node& node, std::string_view key,
                             std::string_view expected) const;

  const toml::table& table_;
  std::string title_;
  std::vector<std::string> known_;
};

// What a parser of this project makes of a value; its error becomes a complaint.
template <typename T>
T checked(Result<T> parsed, const toml::source_region& at) {
  if (!parsed) throw Complaint(at, parsed.error().what, parsed.error().remedy);
  return std::move(*parsed);
}

}  // namespace tideline::daemon
