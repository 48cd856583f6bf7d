# SPDX-License-Identifier: Apache-2.0
"""zeta predict: row t depends on bytes before t alone, rows are distributions, sizes are what the rows say.

Usage: test_predict.py PATH_TO_ZETA PATH_TO_TEXT [unittest options]
Only Python's standard library is used.
"""

import bz2
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

ZETA, TEXT = "zeta", ""
LENGTH = 1500


def rows_of(npy):
    """The raw bytes of each row of a float32 [N, 256] .npy file."""
    assert npy[:8] == b"\x93NUMPY\x01\x00"
    start = 10 + struct.unpack("<H", npy[8:10])[0]
    header = npy[10:start].decode()
    assert "'<f4'" in header and "'fortran_order': False" in header and ", 256)" in header, header
    return [npy[at : at + 1024] for at in range(start, len(npy), 1024)]


def probabilities(row):
    return struct.unpack("<256f", row)


class PredictTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="zeta-predict-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, data):
        with open(self.path("text"), "wb") as file:
            file.write(data)

    def run_zeta(self, *words, environment=None):
        return subprocess.run([ZETA, "predict", *map(str, words)], cwd=self.folder, capture_output=True, timeout=500,
                              env=environment)

    def report(self, *words, environment=None):
        done = self.run_zeta(*words, "--json", environment=environment)
        self.assertEqual((done.returncode, done.stderr), (0, b""), msg=words)
        return json.loads(done.stdout)

    def rows(self, data, *words):
        self.put(data)
        report = self.report("--text", "text", "--save-distributions", "p.npy", "--no-picture", "--dense", 0, *words)
        with open(self.path("p.npy"), "rb") as file:
            rows = rows_of(file.read())
        self.assertEqual(len(rows), len(data))
        return rows, report

    def check_causal(self, *words):
        text = SAMPLE[:LENGTH]
        before, _ = self.rows(text, *words)
        for t in (0, 1, 2, 700, LENGTH - 1):
            for byte in (0, 255, text[t] ^ 1):
                changed = text[:t] + bytes([byte]) + text[t + 1 :]
                after, _ = self.rows(changed, *words)
                self.assertEqual(after[: t + 1], before[: t + 1], msg=(words, t, byte))
                if t + 1 < LENGTH and byte != text[t]:
                    self.assertNotEqual(after[t + 1 :], before[t + 1 :], msg=(words, t, byte))
        prefix, _ = self.rows(text[:600], *words)
        self.assertEqual(prefix, before[:600])

    def test_window_is_causal(self):
        self.check_causal("--select", "window", "--neighbours", 32)

    def test_reranked_is_causal(self):
        self.check_causal("--select", "reranked", "--neighbours", 16)

    def test_exact_is_causal(self):
        self.check_causal("--select", "exact", "--neighbours", 16)

    def test_rows_are_distributions_and_give_the_size(self):
        every = bytes(range(256)) * 3 + bytes(200) + SAMPLE[:LENGTH]
        for data in (SAMPLE[:LENGTH], every, b"a", b"\xff\xff"):
            rows, report = self.rows(data, "--select", "window", "--neighbours", 16)
            bits = 0
            for row, byte in zip(rows, data):
                p = probabilities(row)
                self.assertGreater(min(p), 0)
                self.assertAlmostEqual(math.fsum(p), 1, delta=1e-5)
                bits -= math.log2(p[byte])
            self.assertAlmostEqual(report["passes"][0]["bits_per_byte"], bits / len(data), delta=1e-4)

    def test_the_first_row_is_uniform(self):
        rows, _ = self.rows(SAMPLE[:10], "--select", "window")
        for p in probabilities(rows[0]):
            self.assertAlmostEqual(p, 1 / 256, delta=1e-6)

    def test_one_neighbour_and_other_dimensions(self):
        for words in (("--neighbours", 1), ("--dk", 1), ("--dk", 2), ("--dk", 8), ("--dk", 32), ("--gamma", "0.01")):
            _, report = self.rows(SAMPLE[:LENGTH], "--select", "window", *words)
            self.assertLess(report["passes"][0]["bits_per_byte"], 8)

    def test_threads_do_not_matter(self):
        one, _ = self.rows(SAMPLE[:LENGTH], "--select", "window", "--threads", 1)
        two, _ = self.rows(SAMPLE[:LENGTH], "--select", "window", "--threads", 2)
        self.assertEqual(one, two)

    def test_all_keys_within_reach_equal_dense_attention(self):
        self.put(SAMPLE[:900])
        report = self.report("--text", "text", "--no-picture", "--neighbours", 1024)
        for run in report["passes"]:
            self.assertAlmostEqual(run["bits_per_byte"], report["dense"]["bits_per_byte"], delta=1e-3, msg=run)
            self.assertEqual(run["recall"], 1)

    def test_the_promised_size(self):
        report = self.report("--text", TEXT, "--select", "window", "--dense", 0, "--picture", "p.svg")
        bzip2 = len(bz2.compress(SAMPLE, 9))
        self.assertGreaterEqual(report["bytes"], 300000)
        self.assertLessEqual(report["passes"][0]["size"], 0.95 * bzip2)
        found = {entry["command"]: entry["size"] for entry in report["compressors"]}
        self.assertEqual(sorted(found), ["bzip2 -9", "xz -9e"])
        if found["bzip2 -9"] is not None:
            self.assertEqual(found["bzip2 -9"], bzip2)
        with open(self.path("p.svg"), "rb") as file:
            xml.dom.minidom.parseString(file.read())

    def test_the_shipped_text_is_found(self):
        done = self.run_zeta("--limit", 2000, "--dense", 500)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for word in (b"persuasion.txt, 2000 bytes", b"window", b"re-ranked", b"exact", b"dense", b"zeta-predict.svg"):
            self.assertIn(word, done.stdout)
        self.assertEqual(os.listdir(self.folder), ["zeta-predict.svg"])

    def test_pictures_of_odd_texts(self):
        for data in (b"a", b"ab", b"<&>\"'\x00\xff\n" * 50, bytes(range(256))):
            self.put(data)
            for dk in (1, 2, 3, 5):
                self.report("--text", "text", "--select", "window", "--dk", dk, "--picture", "p.svg")
                with open(self.path("p.svg"), "rb") as file:
                    xml.dom.minidom.parseString(file.read())

    def test_a_missing_compressor_is_said(self):
        self.put(SAMPLE[:500])
        report = self.report("--text", "text", "--select", "window", "--no-picture",
                             environment={**os.environ, "PATH": self.folder})
        for entry in report["compressors"]:
            self.assertIsNone(entry["size"])
            self.assertIn("not installed", entry["reason"])

    def refuse(self, code, says, *words):
        before = sorted(os.listdir(self.folder))
        done = self.run_zeta(*words)
        line = done.stderr.decode()
        self.assertEqual(done.returncode, code, msg=(words, line))
        self.assertTrue(line.startswith("zeta: ") and line.count("\n") == 1, msg=line)
        self.assertIn(says, line)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_refusals(self):
        self.put(SAMPLE[:300])
        self.refuse(3, "nowhere", "--text", "nowhere")
        self.refuse(3, ".", "--text", ".")
        self.refuse(2, "--window 8 is less than --neighbours 16", "--neighbours", 16, "--window", 8)
        self.refuse(2, "--neighbours", "--neighbours", 0)
        self.refuse(2, "--gamma", "--gamma", "0")
        self.refuse(2, "--gamma", "--gamma", "1,nan")
        self.refuse(2, "--select", "--select", "nearest")
        self.refuse(2, "--dk", "--dk", 33)
        self.refuse(4, "--picture", "--text", "text", "--picture", "absent/p.svg")
        self.refuse(4, "--picture", "--text", "text", "--picture", self.folder)
        self.refuse(4, "absent", "--text", "text", "--save-distributions", "absent/p.npy")
        self.put(b"")
        self.refuse(3, "is empty", "--text", "text")


if __name__ == "__main__":
    ZETA, TEXT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    del sys.argv[1:3]
    with open(TEXT, "rb") as corpus:
        SAMPLE = corpus.read()
    unittest.main()
