// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>
#include <memory>
#include <utility>

namespace tideline::daemon {
namespace {

// syslog(3)'s number of a level.
class Priority final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& to) override {
    char number = '6';
    if (message.level == spdlog::level::debug) number = '7';
    if (message.level == spdlog::level::warn) number = '4';
    if (message.level >= spdlog::level::err) number = '3';
    to.push_back(number);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<Priority>();
  }
};

}  // namespace

void set_up_log(const std::string& level) {
  auto log = spdlog::stderr_logger_mt("tidelined");
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  formatter->add_flag<Priority>('P').set_pattern(journal ? "<%P>%v"
                                                         : "%Y-%m-%d %H:%M:%S.%e %l: %v");
  log->set_formatter(std::move(formatter));
  log->set_level(spdlog::level::from_str(level));
  log->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(log));
}

}  // namespace tideline::daemon
