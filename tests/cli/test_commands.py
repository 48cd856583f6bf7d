# SPDX-License-Identifier: Apache-2.0
"""help, version, info and bench."""

import os

from harness import CliTest, tensor


class Commands(CliTest):
    def test_help(self):
        text = self.succeed("--help").decode()
        for word in ("attend", "recall", "predict", "bench", "info", "Exit codes", "zeta attend --q"):
            self.assertIn(word, text)
        for command in (["attend"], ["recall"], ["info"], ["bench"], ["bench", "attend"], ["bench", "decode"], ["predict"]):
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
        for kind in ("gaussian", "clustered", "drift", "equal", "sorted", "crowded", "outlier"):
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

    def decode(self, *words):
        """Small figures of bench decode that make sense together."""
        found = self.json(self.succeed("bench", "decode", "--steps", 30, "--repeat", 2, "--rounds", 1, *words, "--json"))
        self.assertEqual(len(found["runs"]), 2)
        for times in (found, found["per_head"], *found["runs"]):
            order = [times[name] for name in ("median_us", "p99_us", "p999_us", "max_us")]
            self.assertEqual(order[1:], sorted(order[1:]))
            self.assertTrue(all(us > 0 for us in order))
        for name in ("p99_us", "p999_us", "max_us"):
            self.assertEqual(found[name], min(times[name] for times in found["runs"]))
            self.assertAlmostEqual(found["per_head"][name] * found["heads"], found[name])
        self.assertGreater(found["tokens_per_second"], 0)
        for key in ("cpu", "isa", "threads", "version", "neighbours", "window", "local", "mean", "dtype"):
            self.assertIn(key, found)
        return found

    def test_bench_decode(self):
        for kind in ("gaussian", "clustered", "drift", "equal", "sorted", "crowded", "outlier"):
            for select in (["window"], ["window", "--window", 64], ["exact"]):
                found = self.decode("--context", 200, "--dv", 8, "--input", kind, "--select", *select)
                self.assertEqual((found["context"], found["steps"], found["input"]), (200, 30, kind))
                self.assertEqual((found["span"], found["select"]), (25, select[0]))
                self.assertAlmostEqual(found["prefill_of_forward"], found["prefill_ms"] / found["forward_ms"])
                self.assertEqual(found["dense_us"], min(found["dense_loop_us"], found["dense_library_us"]))
                self.assertAlmostEqual(found["dense_of_median"], found["dense_us"] / found["median_us"])

    def test_bench_decode_options(self):
        for words in (["--heads", 4, "--kv-heads", 2, "--threads", 2], ["--heads", 3, "--threads", 1], ["--no-causal"],
                      ["--dk", 1, "--dv", 1], ["--dk", 8, "--dv", 33, "--local", 5, "--mean", "off"], ["--dtype", "bf16"],
                      ["--score", "dot", "--gamma", 2], ["--chunk", 16, "--first", 20, "--grid", "range"], ["--isa", "scalar"],
                      ["--neighbours", 8, "--window", 24, "--span", 3]):
            with self.subTest(words):
                self.decode("--context", 90, *words)
        self.decode("--context", 1)
        raw = {}
        for kind, element in (("f32", 4), ("bf16", 2), ("f16", 2), ("i8", 1)):
            found = self.decode("--context", 3000, "--value-type", kind)
            self.assertEqual(found["value_type"], kind)
            self.assertAlmostEqual(found["bytes_per_token"] / found["bytes_of_raw"], 12 + 64 * element, places=6)
            self.assertGreaterEqual(found["bytes_of_raw"], 1)
            raw[kind] = found["bytes_per_token"]
        self.assertLess(raw["i8"], raw["bf16"])
        self.assertLess(raw["bf16"], raw["f32"])

    def test_bench_decode_in_part(self):
        small = ["bench", "decode", "--context", 100, "--steps", 20, "--repeat", 1]
        found = self.json(self.succeed(*small, "--rounds", 0, "--no-dense", "--json"))
        for name in ("prefill_ms", "forward_ms", "prefill_of_forward", "dense_us", "dense_of_median", "dense_loop_us"):
            self.assertIsNone(found[name])
        self.assertGreater(found["median_us"], 0)
        text = self.succeed(*small)
        for word in (b"median", b"99.9 %", b"slowest", b"tokens", b"memory", b"prefill", b"dense"):
            self.assertIn(word, text)
