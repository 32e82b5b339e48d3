# SPDX-License-Identifier: Apache-2.0
"""What benchmark scripts have in common: a network of their own, processes on cores, pairs of runs, figures that are kept."""

import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build/release/bin"
CORES = sorted(os.sched_getaffinity(0))
PATIENCE = 60  # seconds, beyond a run's time


class Failed(Exception):
    pass


def sh(*command):
    done = subprocess.run(list(map(str, command)), cwd=ROOT, text=True, capture_output=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def machine(script):
    """What a figure holds for. `script`: the command's path in the project."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, text=True, capture_output=True)
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "commit": commit.stdout.strip(),
            "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "command": f"{script} " + " ".join(sys.argv[1:])}


def contain(script):
    """Goes on in a network, a /run and processes that end with this one."""
    if "TIDELINE_BENCH_CONTAINED" not in os.environ:
        os.environ["TIDELINE_BENCH_CONTAINED"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                              sys.executable, script, *sys.argv[1:]])
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    sh("ip", "link", "set", "lo", "up")


def placed(core, namespace, command):
    where = ["ip", "netns", "exec", namespace] if namespace else []
    pin = ["taskset", "-c", str(CORES[core % len(CORES)])] if core is not None else []
    return [*where, *pin, *map(str, command)]


class Process:
    """A program in the background, what it says, and the processor time that it has used when it has ended."""

    running = []

    def __init__(self, command, environment=None):
        self.command = list(map(str, command))
        self.output = open(os.memfd_create("output"), "w+")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})},
                                        start_new_session=True)
        self.cpu_s = 0.0
        Process.running.append(self)

    def has_ended(self):
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def said(self):
        self.output.seek(0)
        return self.output.read()

    def wait_for(self, words, seconds=20):
        limit = time.monotonic() + seconds
        while words not in self.said():
            if self.has_ended() or time.monotonic() > limit:
                raise Failed(f"{' '.join(self.command)}: does not say '{words}': {self.said().strip()[-500:]}")
            time.sleep(0.02)

    def wait(self, seconds):
        """Until it ends by itself; its exit status."""
        limit = time.monotonic() + seconds
        while True:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid != 0:
                break
            if time.monotonic() > limit:
                os.killpg(self.process.pid, signal.SIGKILL)
            time.sleep(0.005)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        Process.running.remove(self)
        return self.process.returncode

    def end(self, how=signal.SIGTERM):
        os.kill(self.process.pid, how)
        return self.wait(PATIENCE)

    @staticmethod
    def end_all():
        for each in list(Process.running):
            each.end(signal.SIGKILL)


def paired(ours, peer, pairs):
    """Runs in turn; each gives a dictionary with `value`."""
    return [(ours(), peer()) for _ in range(pairs)]


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def write(file, about, figures):
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": about, "figures": figures}, indent=1) + "\n")
