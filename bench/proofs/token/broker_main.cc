// SPDX-License-Identifier: Apache-2.0
// token_broker PATH: serves at the Unix socket PATH until it is killed or its parent dies.
#include <signal.h>
#include <sys/prctl.h>

#include <cstdio>

#include "proofs/token/broker.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: token_broker PATH\n");
    return 2;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto broker = proofs::token::Broker::create(argv[1]);
  if (!broker) {
    std::fprintf(stderr, "token_broker: %s\n", broker.error().message().c_str());
    return 3;
  }
  while (true) (*broker)->run_once(-1);
}
