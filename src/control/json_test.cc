// SPDX-License-Identifier: Apache-2.0
#include "control/json.h"

#include <gtest/gtest.h>

namespace tideline::control {
namespace {

TEST(JsonWriter, NestsAndSeparates) {
  JsonWriter json;
  json.begin_object().member("a", 1).member("b", true).key("c").begin_array();
  json.value("x").value(-2).begin_object().end_object();
  json.end_array().key("d").begin_object().member("e", std::uint64_t{1} << 63).end_object();
  json.end_object();
  EXPECT_EQ(json.text(), R"({"a":1,"b":true,"c":["x",-2,{}],"d":{"e":9223372036854775808}})");
}

TEST(JsonWriter, EscapesWhatATextMustNotHave) {
  JsonWriter json;
  json.value("a\"b\\c\n\033\xe4");
  EXPECT_EQ(json.text(), "\"a\\\"b\\\\c\\u000a\\u001b\\u00e4\"");
}

}  // namespace
}  // namespace tideline::control
