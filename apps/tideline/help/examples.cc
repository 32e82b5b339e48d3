// SPDX-License-Identifier: Apache-2.0
#include "help/examples.h"

#include <fmt/format.h>

#include <array>

namespace tideline::app::help {
namespace {

constexpr std::array kExamples{
    Example{"tideline echo", "then, elsewhere: tideline ping 198.18.0.1 -c 3"},
    Example{"tideline ping 198.18.0.1 -c 3", "a host on the segment shm:default"},
    Example{"tideline capture -w frames.pcap",
            "all frames of the segment shm:default, whoever they are for"},
    Example{"tideline run -- nc -l 5000",
            "then, elsewhere, with the address that it tells: tideline run -- nc 198.18.0.1 5000"},
    Example{"tideline run -- ibv_rc_pingpong -g 1",
            "then, elsewhere: tideline run -- ibv_rc_pingpong -g 1 localhost"},
    Example{"tideline up",
            "a front end in the background: programs share its host; later: tideline down"},
    Example{"tideline run --placement frontend -- redis-server", "on the host of that front end"},
    Example{"tideline status", "what runs on tideline: queue pairs, connections, rates"},
    Example{"tideline copy --listen /srv/incoming",
            "then, elsewhere: tideline copy big.img 198.18.0.1:big.img"},
    Example{"tideline man run | man -l -", "the manual page of a command"},
    Example{"source <(tideline completion bash)", "Tab completes commands, options and values"},
    Example{"tideline compare --quick --html compare.html",
            "the same programs over Linux and in every placement of tideline: what each costs",
            true},
    Example{"tideline echo --wire tap:tl0,peer=192.0.2.1/24 --ip 192.0.2.2/24",
            "then, elsewhere: ping 192.0.2.2", true},
    Example{"tideline ping 192.0.2.1 -c 3 --wire tap:tl0,peer=192.0.2.1/24 --ip 192.0.2.2/24", "",
            true},
    Example{"tideline ping 2001:db8::1 -s 65507 --wire packet:eth1 --ip6 2001:db8::2/64", "", true},
    Example{"tideline capture -w frames.pcap --wire packet:eth1 --duration 10", "", true},
    Example{"tideline udp-blast --kernel --listen",
            "then: tideline udp-blast 192.0.2.1 --wire tap:tl0,peer=192.0.2.1/24 --ip 192.0.2.2/24",
            true},
    Example{"tideline perf --kernel --listen",
            "then: tideline perf 192.0.2.1 --wire tap:tl0,peer=192.0.2.1/24 --ip 192.0.2.2/24",
            true},
    Example{"tideline serve /srv --wire tap:tl0,peer=192.0.2.1/24 --ip 192.0.2.2/24",
            "then, elsewhere: curl -O http://192.0.2.2/FILE, or tideline get http://192.0.2.2/FILE "
            "on another wire",
            true},
    Example{"tideline relay packet:eth1 packet:eth2 --impair loss=1%,delay=25ms", "", true},
};

}  // namespace

std::span<const Example> all_examples() { return kExamples; }

std::vector<Example> examples_of(std::string_view command) {
  const std::string begin = fmt::format("tideline {} ", command);
  std::vector<Example> chosen;
  for (const Example& example : kExamples) {
    if (fmt::format("{} ", example.line).find(begin) != std::string::npos) {
      chosen.push_back(example);
    }
  }
  return chosen;
}

std::string text_of(std::span<const Example> examples) {
  std::string text;
  bool as_root = false;
  for (const Example& example : examples) {
    if (text.empty()) text = example.as_root ? "Examples, as root:\n" : "Examples:\n";
    if (example.as_root && !as_root && !text.ends_with(":\n")) text += "As root:\n";
    as_root = example.as_root;
    text += fmt::format("  {}\n", example.line);
    if (*example.then != '\0') text += fmt::format("      {}\n", example.then);
  }
  return text;
}

}  // namespace tideline::app::help
