#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# readme_test.sh TIDELINE SOURCES BUILD: README.md's quickstarts, as they stand there, in a folder that looks like the project's.
# A fenced block is run by bash, and must end with 0. The text before it says what else:
#   In every terminal ..    goes before all that follow
#   In one terminal ..      goes on beside the next ones, until the section ends
#   In `NAME` ..            is a file
#   .. says, prints `WORDS`  each line of output that the block promises; of one that goes on, when the next may begin
# In a pid namespace, which ends what it has started, however the test ends.
if [ "$(id -u)" -eq 0 ] && [ -z "${TIDELINE_TEST_NAMESPACE:-}" ]; then
  export TIDELINE_TEST_NAMESPACE=1
  exec unshare --net --pid --mount-proc --kill-child --fork bash "$0" "$@"
fi
. "$(dirname "$0")/common.sh"
sources=$(realpath "$2")
mkdir "$directory/project" "$directory/project/build" "$directory/run"
for file in README.md include examples docs; do ln -s "$sources/$file" "$directory/project/$file"; done
ln -s "$(realpath "$3")" "$directory/project/build/release"
cd "$directory/project"
export XDG_RUNTIME_DIR=$directory/run
for program in ib_write_bw curl redis-server redis-cli nc g++; do
  command -v "$program" >/dev/null || { echo "skipped: needs $program"; exit 77; }
done
python3 - <<'PLAY' || fail "a quickstart"
import os, pty, re, signal, subprocess, sys, threading, time

PATIENCE = 60  # seconds, of a machine that does much else


class Terminal:
    """A block in a terminal of its own, so that programs write as they do for people."""

    def __init__(self, script):
        self.script, self.text = script, ""
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(["bash", "-ec", script], stdin=theirs, stdout=theirs, stderr=theirs,
                                        start_new_session=True)
        os.close(theirs)
        self.changed = threading.Condition()
        self.closed = False
        threading.Thread(target=self.read, args=[ours], daemon=True).start()

    def read(self, ours):
        try:
            while data := os.read(ours, 65536):
                with self.changed:
                    self.text += data.decode(errors="replace")
                    self.changed.notify()
        except OSError:  # as a terminal ends, on Linux
            pass
        with self.changed:
            self.closed = True
            self.changed.notify()

    def check(self, holds, what):
        if not holds:
            self.end(signal.SIGKILL)
            sys.exit(f"{self.script}\n{what}:\n{self.text}")

    def wait_for(self, words):
        with self.changed:
            self.changed.wait_for(lambda: words in self.text or self.closed, PATIENCE)
        self.check(words in self.text, f"does not say '{words}'")

    def wait(self, words):
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = None
        self.check(status == 0, f"exit status {status}")
        for each in words:
            self.wait_for(each)

    def end(self, how=signal.SIGINT):
        """As Ctrl-C does."""
        try:
            os.killpg(self.process.pid, how)
            self.process.wait(PATIENCE)
        except ProcessLookupError:
            pass


readme = open("README.md").read()
part = re.search(r"^## Quickstarts\n(.*?)^## ", readme, re.S | re.M)[1]
everywhere, beside, ran = "", [], 0
try:
    for section in re.split(r"^### ", part, flags=re.M):
        for about, block in re.findall(r"((?:(?!```).)*?)^```(?:sh|cpp)\n(.*?)^```\n", section, re.S | re.M):
            about = about.strip().split("\n\n")[-1]
            words = re.findall(r"(?:says|prints) `([^`]+)`", about)
            file = re.search(r"In `([^`]+)`:$", about)
            if file:
                open(file[1], "w").write(block)
                continue
            if "In every terminal" in about:
                everywhere += block
                continue
            terminal = Terminal(everywhere + block)
            ran += 1
            if re.search(r"[Ii]n one terminal", about):
                beside.append(terminal)
                for each in words:
                    terminal.wait_for(each)
            else:
                terminal.wait(words)
        while beside:
            beside.pop().end()
finally:
    for each in beside:
        each.end(signal.SIGKILL)
if ran < 10:
    sys.exit(f"{ran} blocks, where there were ten")
print(f"{ran} blocks of README.md do what it says")
PLAY
