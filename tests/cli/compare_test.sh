#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# compare_test.sh TIDELINE TIDELINED SCHEMA: `tideline compare` with a workload of the user's own over Linux, over shared
# memory and over real wires, verbs at front ends; its JSON, its page, what it refuses, and that nothing stays when it is
# killed.
. "$(dirname "$0")/common.sh"
schema=$(realpath "$3")
cd "$directory"

cat >mine.toml <<'TOML'
name = "mine"
title = "one <file> by curl"
figure = "bytes_per_s"
[server]
command = ["python3", "-c", '''
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # what it has counted is told at exit
os.chdir(sys.argv[1])
server = http.server.HTTPServer((sys.argv[2], 8000), http.server.SimpleHTTPRequestHandler)
print("listening", flush=True)
server.serve_forever()
''', "{folder}", "{server}"]
ready = "listening"
[client]
command = ["curl", "-sSf", "-o", "/dev/null", "-w", "%{size_download} bytes in %{time_total} s\n", "http://{server}:8000/data"]
[[file]]
name = "data"
size = "1MiB"
[result]
bytes = { pattern = '^(\d+) bytes' }
seconds = { pattern = 'in ([\d.]+) s' }
TOML

tideline_placements=(app app-tap app-xdp frontend frontends frontend-tap frontend-xdp)
"$tideline" compare --workload mine.toml --placement linux "${tideline_placements[@]/#/--placement=}" --rounds 1 --seconds 1 \
  --json --html report.html >compare.json 2>compare.log || fail "exit status $?: $(cat compare.json)"
python3 - compare.json report.html "$schema" >check.log 2>&1 <<'PYTHON' || fail "the result: $(cat check.log)"
import json, re, sys
import xml.etree.ElementTree as xml

result, schema = json.load(open(sys.argv[1])), json.load(open(sys.argv[3]))


def check(value, rule, where):
    """The part of JSON Schema that the schema uses."""
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int, "boolean": bool}
    if "type" in rule:
        assert isinstance(value, kinds[rule["type"]]), f"{where} is no {rule['type']}: {value}"
    assert "const" not in rule or value == rule["const"], f"{where}: {value}"
    assert "enum" not in rule or value in rule["enum"], f"{where}: {value}"
    assert "minimum" not in rule or value >= rule["minimum"], f"{where}: {value}"
    for key in rule.get("required", []):
        assert key in value, f"{where} lacks {key}"
    if "properties" in rule:
        for key, each in value.items():
            assert key in rule["properties"], f"{where} has an unknown {key}"
            check(each, rule["properties"][key], f"{where}/{key}")
    for i, each in enumerate(value if "items" in rule else []):
        check(each, rule["items"], f"{where}/{i}")


check(result, schema, "")
assert result["ok"], result
(workload,) = result["workloads"]
linux, *ours = workload["results"]
assert linux["ok"] and linux["value"]["median"] > 0 and linux["cpu_s_per_byte"]["engine_user"] == 0, linux
assert "passes_per_byte" not in linux, linux
assert len(ours) == 7, workload
for each in ours:
    assert each["ok"] and "ratio" in each, each
    # What the program writes is copied once at the least; and what it reads, unless the kernel does that.
    assert each["passes_per_byte"] > (0.9 if each["placement"].endswith("tap") else 1.9), each
    if "no_syscalls" not in result:
        assert each["syscalls_per_byte"] > 0, each

page = open(sys.argv[2]).read()
xml.fromstring(page)
assert page.count("<svg") >= 2 and "one &lt;file&gt; by curl" in page
assert "<script" not in page and "<link" not in page and "url(" not in page and "src=" not in page
PYTHON

# Verbs, whose programs meet over AF_XDP; a kernel at the other end has none, which is said. Few messages: programs that
# poll and daemons have two cores for four.
cat >verbs.toml <<'TOML'
name = "verbs"
title = "SEND of 64 B"
figure = "p50_ns"
rdma = true
[server]
command = ["ib_send_lat", "-x", "1", "-s", "64", "-n", "200"]
ready_port = 18515
ends = true
[client]
command = ["ib_send_lat", "-x", "1", "-s", "64", "-n", "200", "localhost"]
[result]
requests = { pattern = '^ *64 +(\d+) ' }
p50_ns = { pattern = '^ *64 +\d+ +[\d.]+ +[\d.]+ +([\d.]+)', scale = 1e3 }
p99_ns = { pattern = '^ *64\s+\d+(?:\s+[\d.]+){5}\s+([\d.]+)', scale = 1e3 }
TOML
"$tideline" compare --workload verbs.toml --placement frontend-tap --placement frontend-xdp --rounds 1 --seconds 5 --json \
  >verbs.json 2>verbs.log || fail "exit status $?: $(cat verbs.json)"
python3 - verbs.json >check.log 2>&1 <<'PYTHON' || fail "verbs: $(cat check.log)"
import json, sys

tap, xdp = json.load(open(sys.argv[1]))["workloads"][0]["results"]
assert not tap["ok"] and "RDMA" in tap["left_out"], tap
assert xdp["ok"] and xdp["p99_ns"] >= xdp["p50_ns"] > 0, xdp
PYTHON

status=0
"$tideline" compare nothing 2>refused.log || status=$?
[ $status -eq 2 ] && grep -q "no workload 'nothing'" refused.log || fail "a workload that is not there: $status"
status=0
"$tideline" compare --placement nowhere 2>refused.log || status=$?
[ $status -eq 2 ] && grep -q "no placement 'nowhere'" refused.log || fail "a placement that is not there: $status"

# Killed while programs run, it leaves no process.
sed -i 's/"{folder}", "{server}"\]/"{folder}", "{server}", "marked-for-compare-test"]/' mine.toml
sed -i 's/^command = \["curl".*/command = ["sleep", "1000"]/' mine.toml
"$tideline" compare --workload mine.toml --placement linux --rounds 1 >killed.out 2>killed.log &
victim=$!
children+=("$victim")
marked() { grep -lsa 'marked-for-compare[-]test' /proc/[0-9]*/cmdline; }
tries=0
until [ -n "$(marked)" ]; do
  kill -0 "$victim" || fail "it has ended: $(cat killed.log)"
  [ $((tries += 1)) -le 1000 ] || fail "it starts nothing"
  sleep 0.02
done
kill -TERM "$victim"
status=0
wait "$victim" || status=$?
[ $status -eq 143 ] || fail "exit status $status after SIGTERM"
children=()
[ -z "$(marked)" ] || fail "a program is left"
echo "eight placements compared"
