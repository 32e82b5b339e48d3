# SPDX-License-Identifier: Apache-2.0
"""What benchmark scripts have in common: a network of their own, processes on cores, pairs of runs, figures that are kept."""

import argparse
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
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


def options(documentation, names, quick):
    """The parser of what all scripts take. `quick`: what that option does."""
    parser = argparse.ArgumentParser(description=documentation.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--keep", action="store_true", help="store the results in `results` beside the script")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the results there")
    return parser


def begin(script, parser, names):
    """The arguments, and what figures hold for. Goes on in a network, a /run and processes that end with this one.
    `script`: the command's path in the project."""
    arguments = parser.parse_args()
    if set(arguments.names) - set(names):
        parser.error(f"there are {', '.join(names)}")
    arguments.names = arguments.names or list(names)
    if os.geteuid() != 0:
        print("needs root, for a network of its own", file=sys.stderr)
        sys.exit(3)
    if "TIDELINE_BENCH_CONTAINED" not in os.environ:
        os.environ["TIDELINE_BENCH_CONTAINED"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                              sys.executable, str(ROOT / script), *sys.argv[1:]])
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    sh("ip", "link", "set", "lo", "up")
    about = machine(script)
    refuse_to_keep(parser, arguments, about)
    return arguments, about


def refuse_to_keep(parser, arguments, about):
    if arguments.keep and (arguments.quick or about["commit"].endswith("-dirty")):
        parser.error("--keep stores figures to be quoted: not with --quick, not from uncommitted changes")


def placed(core, namespace, command):
    where = ["ip", "netns", "exec", namespace] if namespace else []
    pin = ["taskset", "-c", str(CORES[core % len(CORES)])] if core is not None else []
    return [*where, *pin, *map(str, command)]


def host(wire, addresses, version):
    """The options of a host of ours with one of `addresses`."""
    option, length = ("--ip", 24) if version == 4 else ("--ip6", 64)
    return ["--wire", wire, option, f"{addresses[version]}/{length}"]


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


def ready(core, namespace, command, words="ready"):
    process = Process(placed(core, namespace, command))
    process.wait_for(words)
    return process


def listens(port):
    # proc(5): the local address, its port in hexadecimal; the remote one; the state, 0A of a listener.
    rows = (line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}"))
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def veth(near, far):
    """A cable between this network and another, `far`, both with addresses of the kernel's."""
    sh("ip", "netns", "add", "far")
    sh("ip", "link", "add", "tlv0", "type", "veth", "peer", "name", "tlv1", "netns", "far")
    for namespace, name, addresses in ([], "tlv0", near), (["ip", "netns", "exec", "far"], "tlv1", far):
        sh(*namespace, "ip", "link", "set", name, "up")
        give(namespace, name, addresses)


def give(namespace, name, addresses):
    sh(*namespace, "ip", "address", "add", f"{addresses[4]}/24", "dev", name)
    sh(*namespace, "ip", "address", "add", f"{addresses[6]}/64", "dev", name, "nodad")


def remove_veth():
    for command in (["ip", "netns", "delete", "far"], ["ip", "link", "delete", "tlv0"]):
        subprocess.run(command, capture_output=True)  # of what was not made, too


def paired(ours, peer, pairs):
    """Runs in turn; each gives a dictionary with `value`."""
    return [(ours(), peer()) for _ in range(pairs)]


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def judged(value, target, lower=False):
    return "ok" if (value <= target if lower else value >= target) else "BELOW"


def write(file, about, figures):
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": about, "figures": figures}, indent=1) + "\n")


def run_program(script, documentation, program, targets):
    """A benchmark program's figures, with their targets by name, and kept if that is asked for; the exit status."""
    parser = argparse.ArgumentParser(description=documentation.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="shorter, with more noise")
    parser.add_argument("--keep", action="store_true", help="store the results in `results` beside the script")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the results there")
    arguments = parser.parse_args()
    about = machine(script)
    refuse_to_keep(parser, arguments, about)
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run([str(BIN / program), *(["--quick"] if arguments.quick else []), "--json", out.name])
        text = pathlib.Path(out.name).read_text()
    if not text:
        return done.returncode or 3
    figures = json.loads(text)["figures"]
    held = [figure for figure in figures if figure["name"] in targets and "ratio" in figure]  # not its passes, of the same name
    for figure in held:
        figure.update(targets[figure["name"]])
    missing = set(targets) - {figure["name"] for figure in held}
    for figure in held:
        if "target" in figure:
            print(f"  {figure['name']}: ratio {figure['ratio']:.2f}, target {figure['target']} "
                  f"{judged(figure['ratio'], figure['target'])}")
        if "target_value" in figure:
            print(f"  {figure['name']}: {figure['value']:.3g} {figure['unit']}, target {figure['target_value']} "
                  f"{judged(figure['value'], figure['target_value'])}")
    for name in sorted(missing):
        print(f"  {name}: not measured", file=sys.stderr)
    if arguments.json:
        write(arguments.json, about, figures)
    if arguments.keep and not missing:
        write(ROOT / pathlib.Path(script).parent / "results" / f"{program}.json", about, figures)
    return done.returncode or (3 if missing else 0)
