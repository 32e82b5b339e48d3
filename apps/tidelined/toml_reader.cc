// SPDX-License-Identifier: Apache-2.0
#include "toml_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace tideline::daemon {
namespace {

std::string position(const toml::source_region& at) {
  return fmt::format("{}:{}", at.path ? *at.path : "configuration", at.begin.line);
}

struct Unit {
  std::string_view name;
  unsigned shift;
};
constexpr std::array<Unit, 4> kUnits{{{"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}}};
constexpr std::string_view kBytes = "bytes: a number, or a text like \"64MiB\" (B, KiB, MiB, GiB)";

std::optional<std::size_t> parse_bytes(std::string_view text) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc()) return std::nullopt;
  const std::string_view rest(parsed.ptr, text.data() + text.size());
  const auto unit = std::ranges::find(kUnits, rest, &Unit::name);
  if (unit == kUnits.end()) return std::nullopt;
  if (number > std::numeric_limits<std::uint64_t>::max() >> (unit->shift + 1)) return std::nullopt;
  return number << unit->shift;
}

}  // namespace

Complaint::Complaint(const toml::source_region& at, const std::string& what, std::string remedy)
    : std::runtime_error(fmt::format("{}: {}", position(at), what)), remedy_(std::move(remedy)) {}

const toml::node* TomlReader::node(std::string_view key) {
  known_.emplace_back(key);
  return table_.get(key);
}

toml::source_region TomlReader::at(std::string_view key) const {
  const toml::node* found = table_.get(key);
  return found == nullptr ? table_.source() : found->source();
}

void TomlReader::complain(const toml::node& node, std::string_view key,
                          std::string_view expected) const {
  throw Complaint(node.source(), fmt::format("'{}' of {} cannot be this", key, title_),
                  fmt::format("it is {}", expected));
}

std::optional<std::string> TomlReader::text(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  const auto* value = found->as_string();
  // A NUL would end the name of a file or of a user early.
  if (value == nullptr || value->get().find('\0') != std::string::npos) {
    complain(*found, key, "a text in quotes");
  }
  return value->get();
}

std::optional<bool> TomlReader::truth(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  const auto* value = found->as_boolean();
  if (value == nullptr) complain(*found, key, "true or false");
  return value->get();
}

std::optional<std::int64_t> TomlReader::integer(std::string_view key, std::int64_t least,
                                                std::int64_t most) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  const auto* value = found->as_integer();
  if (value == nullptr || value->get() < least || value->get() > most) {
    complain(*found, key, fmt::format("a number from {} to {}", least, most));
  }
  return value->get();
}

std::optional<double> TomlReader::real(std::string_view key, double least, double most) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  const std::optional<double> value = found->is_number() ? found->value<double>() : std::nullopt;
  // Not a number is within no bounds.
  if (!value || !(*value >= least && *value <= most)) {
    complain(*found, key, fmt::format("a number from {} to {}", least, most));
  }
  return value;
}

std::vector<Located> TomlReader::texts(std::string_view key) {
  constexpr std::string_view kExpected = "a text in quotes, or a list of them: [\"...\", \"...\"]";
  const toml::node* found = node(key);
  std::vector<Located> all;
  if (found == nullptr) return all;
  const auto add = [&](const toml::node& element) {
    const auto* value = element.as_string();
    if (value == nullptr || value->get().find('\0') != std::string::npos) {
      complain(element, key, kExpected);
    }
    all.push_back({.text = value->get(), .at = element.source()});
  };
  if (const toml::array* list = found->as_array(); list != nullptr) {
    for (const toml::node& element : *list) add(element);
  } else {
    add(*found);
  }
  return all;
}

std::optional<std::size_t> TomlReader::bytes(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  std::optional<std::size_t> size;
  if (const auto* number = found->as_integer(); number != nullptr && number->get() >= 0) {
    size = static_cast<std::size_t>(number->get());
  } else if (const auto* written = found->as_string(); written != nullptr) {
    size = parse_bytes(written->get());
  }
  if (!size) complain(*found, key, kBytes);
  return size;
}

const toml::table* TomlReader::table(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return nullptr;
  if (!found->is_table()) complain(*found, key, fmt::format("a table: [{}]", key));
  return found->as_table();
}

std::vector<const toml::table*> TomlReader::tables(std::string_view key) {
  const toml::node* found = node(key);
  std::vector<const toml::table*> all;
  if (found == nullptr) return all;
  const std::string expected = fmt::format("a list of tables, each below a line [[{}]]", key);
  const toml::array* list = found->as_array();
  if (list == nullptr) complain(*found, key, expected);
  for (const toml::node& element : *list) {
    if (!element.is_table()) complain(element, key, expected);
    all.push_back(element.as_table());
  }
  return all;
}

void TomlReader::finish() const {
  for (const auto& [key, value] : table_) {
    if (std::ranges::find(known_, key.str()) != known_.end()) continue;
    throw Complaint(key.source(), fmt::format("{} has no '{}'", title_, key.str()),
                    fmt::format("it may have {}", fmt::join(known_, ", ")));
  }
}

}  // namespace tideline::daemon
