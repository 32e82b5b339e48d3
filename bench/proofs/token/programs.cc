// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/programs.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "base/check.h"
#include "base/random.h"
#include "common/latency.h"

namespace proofs::token {
namespace {

// The last line of a text that says something.
std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of('\n');
  if (end == std::string::npos) return {};
  const std::size_t start = text.find_last_of('\n', end);
  return text.substr(start + 1, end - start);
}

double number_after(const std::string& text, const std::string& word) {
  const std::size_t at = text.find(word);
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + word.size(), nullptr);
}

std::string random_bytes(std::size_t size) {
  tideline::Rng rng(7);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(rng());
  return bytes;
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

bool answers(const Lab& lab, Carrier carrier, const Lab::Command& question) {
  for (int i = 0; i < 100; ++i) {
    if (lab.run(carrier, question, 5).succeeded) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// Requests per second by carrier, one entry for each repetition.
using Rates = std::map<std::string, std::array<std::vector<double>, 2>>;

void report_rates(bench::Report& report, const Rates& rates) {
  for (const auto& [name, by_carrier] : rates) {
    report.figure(name, bench::median(by_carrier[1]), "1/s", "kernel loopback",
                  bench::median(by_carrier[0]));
  }
}

}  // namespace

void check_python(bench::Report& report, const Lab& lab, bool quick) {
  const std::string scripts = PROOF_TOKEN_SCRIPTS;
  for (const std::string way : {"select", "poll", "epoll", "edge"}) {
    for (const std::string wake : {"doorbell", "token"}) {
      const int repetitions = quick ? 1 : 5;
      int good = 0;
      std::string detail;
      for (int seed = 1; seed <= repetitions; ++seed) {
        const Outcome outcome =
            lab.run(Carrier::kToken, {"python3", scripts + "/echo.py", way, std::to_string(seed)},
                    60, "PROOF_TOKEN_WAKE=" + wake);
        if (outcome.succeeded) ++good;
        detail = last_line(outcome.output);
      }
      report.check(fmt::format("Python echo by {}, wake by {}", way, wake), good == repetitions,
                   fmt::format("{} of {} runs, each: {} messages", good, repetitions, detail));
    }
  }
  for (const std::string name :
       {"exec", "exec_number", "rights", "fork", "dup", "half_close", "kill", "epoll", "connect"}) {
    const Outcome outcome =
        lab.run(Carrier::kToken, {"python3", scripts + "/descriptors.py", name}, 20);
    report.check("Python: " + name, outcome.succeeded,
                 outcome.succeeded ? "" : last_line(outcome.output));
  }
  report.check("broker at rest after Python", lab.at_rest(), "");
}

void run_redis(bench::Report& report, const Lab& lab, bool quick) {
  const std::string value = random_bytes(300000);
  write_file(lab.directory() + "/value", value);
  const std::string port = "6399";
  struct Load {
    std::string name;
    Lab::Command options;
  };
  const std::string one = quick ? "5000" : "30000";
  const std::string many = quick ? "20000" : "200000";
  const std::array<Load, 3> loads{
      {{"1 client", {"-c", "1", "-n", one}},
       {"50 clients", {"-c", "50", "-n", many}},
       {"50 pipelined 16", {"-c", "50", "-P", "16", "-n", quick ? "100000" : "800000"}}}};
  Rates rates;
  bool all = true;
  for (int repetition = 0; repetition < (quick ? 1 : 3); ++repetition) {
    for (const Carrier carrier : {Carrier::kKernel, Carrier::kToken}) {
      const Server server =
          lab.start(carrier, {"redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                              "--appendonly", "no", "--daemonize", "no", "--dir", lab.directory()});
      all = all && answers(lab, carrier, {"redis-cli", "-p", port, "ping"});
      const Outcome same =
          lab.run(carrier,
                  {"sh", "-c",
                   fmt::format("redis-cli -p {0} -x set k < value && "
                               "redis-cli -p {0} --raw get k | head -c 300000 | cmp - value",
                               port)},
                  20);
      all = all && same.succeeded;
      for (const Load& load : loads) {
        Lab::Command command{"redis-benchmark", "-p", port, "-t", "set,get", "--csv"};
        command.insert(command.end(), load.options.begin(), load.options.end());
        const Outcome outcome = lab.run(carrier, command, 60);
        for (const std::string test : {"SET", "GET"}) {
          const double rate = number_after(outcome.output, "\"" + test + "\",\"");
          all = all && outcome.succeeded && rate > 0;
          rates["redis " + test + ", " + load.name][carrier == Carrier::kToken ? 1 : 0].push_back(
              rate);
        }
      }
    }
  }
  report_rates(report, rates);
  report.check("redis-server and redis-benchmark over tokens", all,
               "a random value of 300,000 bytes set and got, and the loads above");
  report.check("broker at rest after redis", lab.at_rest(), "");
}

void run_nginx(bench::Report& report, const Lab& lab, bool quick) {
  const std::string root = lab.directory() + "/html";
  ::mkdir(root.c_str(), 0755);
  write_file(root + "/small", random_bytes(1024));
  write_file(root + "/big", random_bytes(20'000'000));
  write_file(lab.directory() + "/nginx.conf",
             "daemon off; master_process on; worker_processes 2; pid nginx.pid;\n"
             "error_log nginx.log info; events { worker_connections 512; }\n"
             "http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path t1;\n"
             "proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n"
             "server { listen 0.0.0.0:8099; root html; keepalive_requests 100000000; } }\n");
  const std::string url = "http://127.0.0.1:8099/";
  const std::string seconds = quick ? "1s" : "2s";
  Rates rates;
  bool all = true;
  for (int repetition = 0; repetition < (quick ? 1 : 3); ++repetition) {
    for (const Carrier carrier : {Carrier::kKernel, Carrier::kToken}) {
      const Server server = lab.start(
          carrier, {"nginx", "-p", lab.directory(), "-c", "nginx.conf", "-e", "nginx.log"});
      all = all && answers(lab, carrier, {"curl", "-sf", "-o", "/dev/null", url + "small"});
      all = all &&
            lab.run(carrier, {"sh", "-c", "curl -s " + url + "big | cmp - html/big"}, 20).succeeded;
      for (const std::string connections : {"1", "50"}) {
        const Outcome outcome = lab.run(carrier,
                                        {"wrk", connections == "1" ? "-t1" : "-t2",
                                         "-c" + connections, "-d" + seconds, url + "small"},
                                        30);
        const bool clean = outcome.output.find("Socket errors") == std::string::npos &&
                           outcome.output.find("Non-2xx") == std::string::npos;
        const double rate = number_after(outcome.output, "Requests/sec:");
        all = all && outcome.succeeded && clean && rate > 0;
        rates["nginx 1 KiB, wrk " + connections][carrier == Carrier::kToken ? 1 : 0].push_back(
            rate);
      }
    }
  }
  report_rates(report, rates);
  report.check("nginx with two workers and wrk over tokens", all,
               "20 MB downloaded and compared, no socket error, no bad status");
  report.check("broker at rest after nginx", lab.at_rest(), "");
}

void run_probe(bench::Report& report, const Lab& lab, bool quick) {
  const std::string rounds = quick ? "500" : "5000";
  std::map<std::string, std::map<std::string, std::vector<double>>> found;
  bool all = true;
  for (int repetition = 0; repetition < (quick ? 1 : 3); ++repetition) {
    for (const std::string wake : {"doorbell", "token"}) {
      const Outcome outcome = lab.run(Carrier::kToken, {Lab::binaries() + "/token_probe", rounds},
                                      60, "PROOF_TOKEN_WAKE=" + wake);
      all = all && outcome.succeeded;
      std::istringstream lines(outcome.output);
      std::string name;
      double ns = 0;
      while (lines >> name >> ns) found[wake][name].push_back(ns);
    }
  }
  report.check("every transition of the probe woke its sleeper", all,
               fmt::format("{} round trips, asleep on both sides, six ways", rounds));
  if (!all) return;
  const auto ns = [&](const std::string& name, const std::string& wake = "doorbell") {
    return bench::median(found[wake][name]);
  };
  report.figure("pass through: read", ns("pass.read"), "ns", "bare call", ns("direct.read"));
  report.figure("pass through: read, more than the bare call", ns("more.read"), "ns");
  report.figure("pass through: fcntl, more than the bare call", ns("more.fcntl"), "ns");
  report.figure("write + read 64 B", ns("token.write+read"), "ns", "AF_UNIX",
                ns("unix.write+read"));
  report.figure("write + read 64 B", ns("token.write+read"), "ns", "TCP", ns("tcp.write+read"));
  report.figure("poll, nothing there", ns("token.poll-empty"), "ns", "TCP", ns("tcp.poll-empty"));
  report.figure("epoll_wait, one ready", ns("token.epoll-ready"), "ns", "TCP",
                ns("tcp.epoll-ready"));
  report.figure("listen, connect, accept, three closes",
                ns("token.listen+connect+accept+close") / 1000, "us", "TCP",
                ns("tcp.listen+connect+accept+close") / 1000);
  report.figure("first use of an unknown kernel number", ns("first-use.kernel"), "ns");
  report.figure("first use of an unknown token", ns("first-use.token") / 1000, "us");
  for (const std::string where : {"one-core", "two-cores"}) {
    const std::string name = ".transition-" + where;
    if (!found["doorbell"].contains("token" + name)) {
      report.note("not tried: wake-ups between two cores, for there is one");
      continue;
    }
    report.figure("empty to readable, " + where + ", doorbell", ns("token" + name) / 1000, "us",
                  "byte to token", ns("token" + name, "token") / 1000);
    report.figure("empty to readable, " + where + ", doorbell", ns("token" + name) / 1000, "us",
                  "TCP", ns("tcp" + name) / 1000);
    report.figure("empty to readable, " + where + ", doorbell", ns("token" + name) / 1000, "us",
                  "AF_UNIX", ns("unix" + name) / 1000);
  }
}

}  // namespace proofs::token
