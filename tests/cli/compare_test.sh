#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# compare_test.sh TIDELINE TIDELINED SCHEMA: `tideline compare` with a workload of the user's own in two placements; its
# JSON, its page, what it refuses, and that nothing stays when it is killed.
. "$(dirname "$0")/common.sh"
schema=$(realpath "$3")
cd "$directory"

cat >mine.toml <<'TOML'
name = "mine"
title = "one <file> by curl"
figure = "bytes_per_s"
[server]
command = ["python3", "-c", '''
import http.server, os, sys
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

"$tideline" compare --workload mine.toml --placement linux --placement frontend --rounds 1 --seconds 1 --json \
  --html report.html >compare.json 2>compare.log || fail "exit status $?: $(cat compare.json)"
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
linux, frontend = workload["results"]
assert linux["ok"] and frontend["ok"], workload
assert linux["value"]["median"] > 0 and linux["cpu_s_per_byte"]["engine_user"] == 0, linux
assert "ratio" in frontend and "passes_per_byte" in frontend, frontend

page = open(sys.argv[2]).read()
xml.fromstring(page)
assert page.count("<svg") >= 2 and "one &lt;file&gt; by curl" in page
assert "<script" not in page and "<link" not in page and "url(" not in page and "src=" not in page
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
echo "two placements compared"
