#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/summary on figures made up for it: which targets it calls missed, and that it wants a reason for each."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parent
MACHINE = {"cpu": "a processor", "cores": 2, "kernel": "6.1", "date": "2026-01-01", "commit": "abc", "command": "bench/x/run"}
LATENCY = {"name": "pingpong", "value": 1.6, "unit": "us", "peer": "Linux", "peer_value": 3.2, "ratio": 2.0}
RATE = {"name": "frames", "value": 20.0, "unit": "Gb/s", "limit_name": "iperf3", "limit": 10.0, "ratio": 2.0}
VERBS = {"name": "send_lat", "unit": "us", "medians": {"16 bytes": 2.0, "UCX": 1.0}, "ratios": {"16 bytes / UCX": 2.0}}


class Summary(unittest.TestCase):
    def summarized(self, part, figure, reasons=""):
        """Exit status, complaints and rows of a table with this one figure."""
        with tempfile.TemporaryDirectory() as directory:
            bench = pathlib.Path(directory)
            shutil.copy(BENCH / "summary", bench)
            (bench / "limits.toml").write_text(f"[limits]\n{reasons}\n")
            (bench / part / "results").mkdir(parents=True)
            (bench / part / "results" / "one.json").write_text(json.dumps({"machine": MACHINE, "figures": [figure]}))
            done = subprocess.run([bench / "summary"], text=True, capture_output=True)
            text = (bench / "RESULTS.md").read_text()
            return done.returncode, done.stderr, text.splitlines(), text

    def check(self, part, figure, row, missed):
        status, complaints, lines, _ = self.summarized(part, figure)
        self.assertIn(row, lines)
        self.assertEqual(status, 1 if missed else 0)
        self.assertEqual("does not say why" in complaints, missed, complaints)

    def test_ratio(self):
        self.check("tcp", {**LATENCY, "target": 2}, "| pingpong | 1.6 us | Linux | 3.2 us | 2.00 | 2 |", missed=False)
        self.check("tcp", {**LATENCY, "target": 3}, "| pingpong | 1.6 us | Linux | 3.2 us | 2.00 | 3 **below** |", missed=True)

    def test_figure_itself(self):
        self.check("tcp", {**LATENCY, "target": 1, "target_value": 1.5},
                   "| pingpong | 1.6 us | Linux | 3.2 us | 2.00 | 1; 1.5 us **below** |", missed=True)
        self.check("tcp", {**LATENCY, "target_value": 1.7}, "| pingpong | 1.6 us | Linux | 3.2 us | 2.00 | 1.7 us |", missed=False)
        self.check("udp", {**RATE, "target_value": 35}, "| frames | 20 Gb/s | iperf3 | 10 Gb/s | 2.00 | 35 Gb/s **below** |",
                   missed=True)
        self.check("udp", {**RATE, "target_value": 15}, "| frames | 20 Gb/s | iperf3 | 10 Gb/s | 2.00 | 15 Gb/s |", missed=False)

    def test_several_peers(self):
        self.check("verbs", {**VERBS, "targets": {"16 bytes / UCX": 1}},
                   "| send_lat: 16 bytes | 2 us | UCX | 1 us | 0.50 | 1 **below** |", missed=True)
        self.check("verbs", {**VERBS, "target_values": {"16 bytes": 1}}, "| send_lat: 16 bytes | 2 us |  |  |  | 1 us **below** |",
                   missed=True)
        self.check("verbs", VERBS, "| send_lat: 16 bytes | 2 us | UCX | 1 us | 0.50 |  |", missed=False)

    def test_a_reason_is_printed_and_is_enough(self):
        status, complaints, _, text = self.summarized("tcp", {**LATENCY, "target": 3}, '"tcp/pingpong" = "because."')
        self.assertEqual((status, complaints), (0, ""))
        self.assertIn("Below, `pingpong`: because.", text)


if __name__ == "__main__":
    unittest.main()
