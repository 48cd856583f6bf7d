# SPDX-License-Identifier: Apache-2.0
"""help, version, info and bench."""

import os

from harness import CliTest, tensor


class Commands(CliTest):
    def test_help(self):
        text = self.succeed("--help").decode()
        for word in ("attend", "recall", "predict", "bench", "info", "Exit codes", "zeta attend --q"):
            self.assertIn(word, text)
        for command in (["attend"], ["recall"], ["info"], ["bench"], ["bench", "attend"]):
            self.assertIn("Example", self.succeed(*command, "--help").decode())
        self.assertRegex(self.succeed("--version").decode(), r"^zeta \d+\.\d+\.\d+\n$")

    def test_info(self):
        found = self.json(self.succeed("info", "--json", "--threads", 2))
        self.assertEqual(list(found), ["version", "cpu", "isa_present", "isa_used", "threads", "blas_core", "cuda"])
        self.assertIn(found["isa_used"], found["isa_present"])
        self.assertIn("scalar", found["isa_present"])
        self.assertEqual((found["threads"], found["cuda"]), (2, False))
        for name in found["isa_present"]:
            self.assertEqual(self.json(self.succeed("info", "--json", "--isa", name))["isa_used"], name)
            environment = {**os.environ, "ZETA_ISA": name}
            self.assertEqual(self.json(self.succeed("info", "--json", env=environment))["isa_used"], name)
        self.assertIn(found["cpu"].encode(), self.succeed("info"))

    def test_same_bits(self):
        """Every instruction set selects the same neighbours; any number of threads gives the same bytes."""
        sources = self.put_qkv(tensor(1, 2, 300, 3), tensor(2, 2, 300, 3), tensor(3, 2, 300, 5))
        words = ["attend", *sources, "--out", "out.npy", "--save-neighbours", "near.npy", "--neighbours", 8]
        near = None
        for isa in self.json(self.succeed("info", "--json"))["isa_present"]:
            outs = set()
            for threads in (1, 2, 3):
                self.succeed(*words, "--isa", isa, "--threads", threads)
                outs.add(self.get("out.npy"))
                near = near or self.get("near.npy")
                self.assertEqual(self.get("near.npy"), near)
            self.assertEqual(len(outs), 1)

    def test_report(self):
        sources = self.put_qkv(tensor(1, 30, 3), tensor(2, 30, 3), tensor(3, 30, 5))
        found = self.json(self.succeed("attend", *sources, "--out", "out.npy", "--json"))
        self.assertEqual((found["q"], found["v"]), ([30, 3], [30, 5]))
        self.assertGreaterEqual(found["forward_ms"], 0)

    def test_bench(self):
        small = ["bench", "attend", "--n", 300, "--dv", 8, "--repeat", 3, "--json"]
        for kind in ("gaussian", "clustered", "drift", "equal", "sorted"):
            for which in ("forward", "backward"):
                found = self.json(self.succeed(*small, "--input", kind, "--pass", which, "--copy"))
                self.assertEqual((found["input"], found["pass"], found["n"], found["m"]), (kind, which, 300, 300))
                self.assertLessEqual(0, found["min_ms"])
                self.assertLessEqual(found["min_ms"], found["median_ms"])
                self.assertGreaterEqual(found["copy_ms"], 0)
                self.assertTrue(all(ms >= 0 for ms in found["stages"].values()))
                for key in ("cpu", "isa", "threads", "version", "neighbours", "window", "local", "mean", "dtype"):
                    self.assertIn(key, found)
        self.succeed(*small, "--heads", 4, "--kv-heads", 2, "--m", 400, "--dtype", "bf16", "--select", "exact", "--grid", "range")
        self.succeed(*small, "--no-causal", "--m", 100, "--input", "drift", "--dk", 2)
        self.assertIn(b"median", self.succeed(*small[:-1]))
