// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/bootstrap.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "client/queue_sockets.h"
#include "shim/engine/app_process.h"

namespace tideline::shim::sockets {
namespace {

AppProcess* own = nullptr;  // null: the verbs shim has it

}  // namespace

Result<client::Sockets*> join_engine() {
  if (text_of("TIDELINE_PLACEMENT") == "frontend") {
    auto attached = client::QueueSockets::attach(text_of("TIDELINE_FRONT_END"),
                                                 ::program_invocation_short_name);
    if (!attached) return fail(std::move(attached.error()));
    return attached->release();  // for as long as the process lives
  }
  // Of the verbs shim, if it is preloaded too: shim/verbs/engine.cc.
  using Get = void(Result<client::Sockets*>*);
  auto* const get = reinterpret_cast<Get*>(::dlsym(RTLD_DEFAULT, "tideline_process_sockets"));
  if (get != nullptr) {
    Result<client::Sockets*> found = nullptr;
    get(&found);
    return found;
  }
  auto started = AppProcess::start(options_from_environment());
  if (!started) return fail(std::move(started.error()));
  own = started->release();
  return &own->sockets();
}

void report_engine(bool counters) {
  if (own == nullptr) return;  // it reports itself
  std::string text;
  own->engine().exclusively(
      [&](engine::Worker& worker, Instant /*now*/) { text = own->report(worker); });
  if (counters) std::fprintf(stderr, "tideline: pid %d:%s\n", ::getpid(), text.c_str());
  own->flush_capture();
}

}  // namespace tideline::shim::sockets
