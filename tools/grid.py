#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints how many script tests there are of each event in each state, from their names Rcv<Event>_<State>_<Result>;
fails if one of the first five events has no test in some state."""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
STATES = ["Listen", "SynSent", "SynReceived", "Established", "FinWait1", "FinWait2", "CloseWait", "Closing", "LastAck",
          "TimeWait"]
EVENTS = ["Syn", "Ack", "Data", "Fin", "Rst"]


def main():
    count = collections.Counter()
    for path in sorted((ROOT / "src/tcp").glob("*_test.cc")):
        for event, state in re.findall(r"SCRIPT\(\w+, Rcv([A-Z][a-z]+)_(\w+?)_\w+,", path.read_text()):
            count[event, state] += 1
    events = EVENTS + sorted({event for event, _ in count} - set(EVENTS))
    print(f"{'':12}" + "".join(f"{event:>6}" for event in events))
    for state in STATES:
        print(f"{state:12}" + "".join(f"{count[event, state] or '-':>6}" for event in events))
    unknown = {state for _, state in count} - set(STATES)
    holes = [(event, state) for event in EVENTS for state in STATES if not count[event, state]]
    if unknown:
        print("no such state:", *sorted(unknown))
    return 1 if holes or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
