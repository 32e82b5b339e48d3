// SPDX-License-Identifier: Apache-2.0
// The commands. Each returns the exit status; errors are thrown as Failure.
#pragma once

#include <string>
#include <vector>

#include "options.h"

namespace tideline::app {

int ping(const WireOptions& wire, const PingOptions& options);
int echo(const WireOptions& wire);
int capture(const WireOptions& wire, const CaptureOptions& options);
int relay(const WireOptions& wire, const RelayOptions& options);
int ports(bool json);
int doctor(bool json);
int devices(const WireOptions& wire);
int status(const StatusOptions& options);
int up(const WireOptions& wire, const UpOptions& options);
int down(const DownOptions& options);
// Does not return if the program could be started.
int run_program(const WireOptions& wire, const RunOptions& options);
int perf(const WireOptions& wire, const PerfOptions& options);
int serve(const WireOptions& wire, const ServeOptions& options);
int get(const WireOptions& wire, const GetOptions& options);
int copy_file(const WireOptions& wire, const CopyOptions& options);
int compare_placements(const CompareOptions& options);
// What it may be asked for.
std::vector<std::string> placement_names();
std::vector<std::string> workload_names();
int man(const HelpOptions& options);
int completion(const HelpOptions& options);
int udp_blast(const WireOptions& wire, const UdpBlastOptions& options);

}  // namespace tideline::app
