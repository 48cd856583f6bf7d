# SPDX-License-Identifier: Apache-2.0
"""Bad options and bad files: one line, an exit code below 128, every file left as it was."""

import json
import os
import struct

from formats import npy, npy_dict, npy_header, safetensors, safetensors_raw
from harness import CliTest, tensor

USAGE, INPUT = 2, 3


class Refusals(CliTest):
    def setUp(self):
        super().setUp()
        self.q, self.k, self.v = tensor(1, 12, 3), tensor(2, 12, 3), tensor(3, 12, 2)
        self.sources = self.put_qkv(self.q, self.k, self.v)
        self.put("out.npy", b"precious")

    def bad_file(self, data, *says, code=INPUT):
        """Refused as q, as v and as gradient."""
        self.put("bad.npy", data)
        kept = ["--out", "out.npy"]
        self.refuse(code, "attend", "--q", "bad.npy", *self.sources[2:], *kept, says=["bad.npy", *says])
        self.refuse(code, "attend", *self.sources[:4], "--v", "bad.npy", *kept, says=["bad.npy", *says])
        self.refuse(code, "attend", *self.sources, *kept, "--grad-out", "bad.npy", "--save-grad-q", "grad.npy",
                    says=["bad.npy", *says])

    def test_options(self):
        attend = ["attend", *self.sources, "--out", "out.npy"]
        for words, says in {
            ("--unknown",): "--unknown", ("--neighbours", "0"): "--neighbours", ("--neighbours", "1025"): "1025",
            ("--neighbours", "many"): "many", ("--neighbours", ""): "--neighbours", ("--neighbours",): "--neighbours",
            ("--neighbours", "99999999999999999999"): "--neighbours", ("--neighbours", "8", "--neighbours", "9"): "--neighbours",
            ("--window", "65537"): "65537", ("--window", "16"): "16", ("--select", "best"): "best", ("--score", "cosine"): "cosine",
            ("--chunk", "0"): "--chunk", ("--chunk", "-1"): "--chunk", ("--local", "-1"): "--local",
            ("--local", "16777217"): "16777217", ("--first", "-1"): "--first", ("--gamma", "0"): "gamma",
            ("--gamma", "-1"): "gamma", ("--gamma", "nan"): "gamma", ("--gamma", "inf"): "gamma", ("--gamma", "1e-30"): "gamma",
            ("--gamma", "1,"): "--gamma", ("--gamma", "1,x"): "1,x", ("--gamma", ""): "--gamma", ("--gamma", "1,2"): ["--gamma", "2", "1 heads"],
            ("--mean", "maybe"): "maybe", ("--grid", "hex"): "hex", ("--scale", "0"): "scale", ("--scale", "inf"): "scale",
            ("--scale", "nan"): "scale", ("--scale", "1", "--grid", "range"): "--scale", ("--range", "0,1"): "--range",
            ("--grid", "range", "--range", "1"): "--range", ("--grid", "range", "--range", "1,1"): "lo",
            ("--grid", "range", "--range", "2,1"): "lo", ("--grid", "range", "--range", "nan,1"): "lo",
            ("--grid", "range", "--range", "-3e38,3e38"): "hi", ("--no-causal", "--local", "1"): "local",
            ("--dtype", "f64"): "f64", ("--threads", "-1"): "--threads", ("--threads", "1025"): "1025",
            ("--isa", "mmx"): "mmx", ("--device", "tpu"): "tpu", ("--device", "cuda"): "not supported",
            ("--seqlens-k", "12"): "--seqlens", ("--seqlens", "x"): "--seqlens", ("--in", "x.safetensors"): "--in",
            ("--save-grad-q", "g.npy"): "--grad-out", ("--grad-out", "q.npy"): "--save-grad", ("extra",): "extra",
            ("--seqlens", "6,6", "--seqlens-k", "12"): "--seqlens-k", ("--save-neighbours", "out.npy"): "out.npy",
        }.items():
            with self.subTest(words):
                self.refuse(USAGE, *attend, *words, says=says)

    def test_environment(self):
        environment = {**os.environ, "ZETA_ISA": "mmx"}
        for command in (["attend", *self.sources, "--out", "out.npy"], ["info"], ["recall", *self.sources[:4]]):
            self.refuse(USAGE, *command, says="mmx", env=environment)

    def test_missing_words(self):
        self.refuse(USAGE)
        self.refuse(USAGE, "dance", says="dance")
        self.refuse(USAGE, "attend", *self.sources, says="--out")
        self.refuse(USAGE, "attend", "--out", "out.npy", says="--q")
        self.refuse(USAGE, "attend", *self.sources[:4], "--out", "out.npy", says="--v")
        self.refuse(USAGE, "recall", *self.sources[:2], says="--k")
        self.refuse(USAGE, "bench")
        self.refuse(USAGE, "bench", "attend", "--input", "noise", says="noise")
        self.refuse(USAGE, "bench", "attend", "--n", "8", "--m", "4", says="4")
        self.refuse(USAGE, "bench", "attend", "--n", "-1", says="--n")
        self.refuse(USAGE, "bench", "attend", "--heads", "4", "--kv-heads", "3", says="4")
        for words, says in {
            ("--context", "0"): "--context", ("--context", "16777216"): "16777216", ("--context", "16777200"): "16777216",
            ("--context", "9", "--span", "16777215", "--steps", "99999999"): "--span", ("--steps", "0"): "--steps",
            ("--repeat", "0"): "--repeat", ("--rounds", "-1"): "--rounds", ("--span", "-1"): "--span", ("--heads", "0"): "--heads",
            ("--heads", "4", "--kv-heads", "3"): "4", ("--dk", "33"): "--dk", ("--dv", "0"): "--dv", ("--input", "noise"): "noise",
            ("--value-type", "f64"): "f64", ("--window", "8"): "8", ("--threads", "-1"): "--threads", ("--isa", "mmx"): "mmx",
            ("--device", "cuda"): "not supported", ("--no-causal", "--local", "1"): "local", ("extra",): "extra",
        }.items():
            with self.subTest(words):
                context = () if "--context" in words else ("--context", "64")
                self.refuse(USAGE, "bench", "decode", *context, *words, says=says)

    def test_lengths(self):
        attend = ["attend", *self.sources, "--out", "out.npy"]
        self.refuse(INPUT, *attend, "--seqlens", "6,5", says="11")
        self.refuse(INPUT, *attend, "--seqlens", "6,6", "--seqlens-k", "6,7", says="13")
        self.refuse(INPUT, *attend, "--seqlens", "7,5", "--seqlens-k", "6,6", says="6")
        self.refuse(USAGE, *attend, "--seqlens", "13,-1", says=["--seqlens", "-1"])
        self.refuse(USAGE, *attend, "--seqlens", "16777217", says=["--seqlens", "16777217"])
        self.refuse(USAGE, *attend, "--seqlens", "12", "--seqlens-k", "-1", says=["--seqlens-k", "-1"])
        self.refuse(USAGE, *attend, "--seqlens", str(1 << 63), says="--seqlens")

    def test_empty_names(self):
        """An empty name, as of a shell's variable that is not set, is not the same as none."""
        attend = ["attend", *self.sources, "--out", "out.npy"]
        for option in ("--save-neighbours", "--save-codes-q", "--grad-out", "--save-grad-q"):
            self.refuse(USAGE, *attend, option, "", says=option)
        self.refuse(USAGE, "attend", *self.sources, "--out", "", says="--out")
        for option in ("--q", "--in"):
            self.refuse(USAGE, "recall", option, "", says=option)
        for option in ("--text", "--picture", "--save-distributions", "--save-cache", "--load-cache"):
            self.refuse(USAGE, "predict", option, "", says=option)

    def test_npy_files(self):
        good = npy(*self.q)
        body = struct.pack("<36f", *self.q[1])
        head = lambda text, **how: npy_header(text, **how) + body
        self.bad_file(b"", "truncated")
        self.bad_file(good[:5], "truncated")
        self.bad_file(good[:9], "truncated")
        self.bad_file(good[:60], "truncated")
        self.bad_file(good[:-1], "truncated", "144", "143")
        self.bad_file(good[:128], "truncated")
        self.bad_file(good + b"\0", "145")
        self.bad_file(b"PK\x03\x04" + good, "not a .npy")
        self.bad_file(b"\x93NUMPX" + good[6:], "not a .npy")
        self.bad_file(good[:6] + b"\x04\x00" + good[8:], "4.0")
        self.bad_file(good[:6] + b"\x00\x00" + good[8:], "0.0")
        self.bad_file(head(npy_dict("<f4", [12, 3]), version=(2, 0), length=0xFFFFFFFF), "4294967295")
        self.bad_file(npy_header(" " * (2 << 20), version=(3, 0)), "corrupt")
        for descr, says in (("<f8", "float64"), (">f4", "big-endian float32"), (">f2", "big-endian"), ("<i4", "int32"),
                            ("|u1", "uint8"), ("|O", "Python objects"), ("<c8", "complex64"), ("|V2", "V2"), ("|b1", "bool"),
                            ("", "no type"), ("<U7", "U7"), ("f4", "f4"), ("<f4 ", "f4")):
            self.bad_file(head(npy_dict(descr, [12, 3])), says)
        self.bad_file(head("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (12, 3)}"), "structured")
        self.bad_file(head(npy_dict("<f4", [12, 3], fortran=True)), "Fortran")

    def test_npy_headers(self):
        body = struct.pack("<36f", *self.q[1])
        for text in ("", "{", "{}", "[]", "nonsense", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}",
                     "{'fortran_order': False, 'shape': (12, 3)}", "{'descr': '<f4', 'shape': (12, 3)}",
                     "{'descr': '<f4', 'fortran_order': 0, 'shape': (12, 3)}",
                     "{'descr': '<f4', 'fortran_order': False, 'shape': 36}",
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (12, -3)}",
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 3.0)}",
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 3}",
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 3), 'more': 1}",
                     "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (12, 3)}",
                     "{'descr': '<f4, 'fortran_order': False, 'shape': (12, 3)}", "{'descr': '<f4",
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 3)} x", "{descr: '<f4'}",
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3)}", "\0{'descr': '<f4'}"):
            with self.subTest(text):
                self.bad_file(npy_header(text) + body, "corrupt")
        self.assertLess(len(self.refuse(INPUT, "recall", "--q", self.put_npy("many.npy", ([1] * 4000, [1.0])), "--k", "many.npy",
                                        says="4000 extents")), 300)
        for shape in ([12, 4], [1 << 62, 4], [1 << 32, 1 << 32], [1 << 40, 3], [0, 3], []):
            with self.subTest(shape):
                self.bad_file(npy_header(npy_dict("<f4", shape)) + body)

    def test_places(self):
        kept = [*self.sources[2:], "--out", "out.npy"]
        self.refuse(INPUT, "attend", "--q", "nowhere.npy", *kept, says=["nowhere.npy", "No such file"])
        self.refuse(INPUT, "attend", "--q", "new\nline.npy", *kept, says="new?line.npy")
        self.refuse(INPUT, "attend", "--q", ".", *kept, says="not a regular file")
        self.refuse(INPUT, "attend", "--q", "/dev/null", *kept, says="/dev/null")
        os.mkfifo(self.path("pipe"))
        self.refuse(INPUT, "attend", "--q", "pipe", *kept, says="pipe")
        self.refuse(INPUT, "attend", "--in", "nowhere.safetensors", "--out", "out.npy", says="nowhere.safetensors")

    def test_shapes(self):
        def shapes(q, k, v, *says, words=(), code=INPUT):
            with self.subTest((q, k, v)):
                sources = self.put_qkv(tensor(1, *q), tensor(2, *k), tensor(3, *v))
                self.refuse(code, "attend", *sources, "--out", "out.npy", *words, says=says)

        shapes([12], [12], [12], "rank 1")
        shapes([1, 1, 1, 2, 3], [1, 1, 1, 2, 3], [1, 1, 1, 2, 3], "rank 5")
        shapes([], [], [], "rank 0")
        shapes([12, 3], [1, 12, 3], [1, 12, 2], "rank")
        shapes([12, 3], [12, 3], [1, 12, 2], "rank")
        shapes([12, 3], [12, 4], [12, 2], "[12, 3]", "[12, 4]")
        shapes([12, 3], [12, 3], [11, 2], "[12, 3]", "[11, 2]")
        shapes([12, 3], [11, 3], [11, 2], "[12, 3]", "[11, 3]")
        shapes([12, 33], [12, 33], [12, 2], "33")
        shapes([12, 0], [12, 0], [12, 2], "0")
        shapes([12, 3], [12, 3], [12, 0], "[12, 0]")
        shapes([4, 5, 3], [3, 5, 3], [3, 5, 2], "4", "3")
        shapes([4, 5, 3], [2, 5, 3], [4, 5, 2], "heads")
        shapes([2, 4, 5, 3], [1, 4, 5, 3], [1, 4, 5, 2], "batches")
        shapes([2, 1, 5, 3], [2, 1, 5, 3], [2, 1, 5, 2], words=["--seqlens", "5"])
        for heads in ([1 << 40], [1 << 30, 1 << 30], [65537]): # few bytes that ask for all memory
            empty = [*heads, 0, 3]
            shapes(empty, empty, empty, "65536 heads")
            self.put_npy("q.npy", tensor(1, *empty))
            self.refuse(INPUT, "recall", "--q", "q.npy", "--k", "q.npy", says=["q.npy", "65536 heads"])
        shapes([12, 3], [0, 3], [0, 1 << 40], "65536 channels", words=["--no-causal"])
        sources = self.put_qkv(self.q, self.k, self.v)
        self.put_npy("g.npy", tensor(4, 12, 3))
        self.refuse(INPUT, "attend", *sources, "--out", "out.npy", "--grad-out", "g.npy", "--save-grad-q", "gq.npy",
                    says=["g.npy", "[12, 3]", "[12, 2]"])
        self.refuse(INPUT, "recall", "--q", "q.npy", "--k", "v.npy", says=["q.npy", "v.npy"])

    def bad_tensors(self, data, *says):
        self.put("bad.safetensors", data)
        self.refuse(INPUT, "attend", "--in", "bad.safetensors", "--out", "out.npy", says=["bad.safetensors", *says])

    def test_safetensors(self):
        good = safetensors({"q": ("F32", *self.q), "k": ("F32", *self.k), "v": ("F32", *self.v)})
        data = good[8 + struct.unpack("<Q", good[:8])[0] :]
        self.bad_tensors(b"", "truncated")
        self.bad_tensors(good[:7], "truncated")
        self.bad_tensors(good[:40], "truncated")
        self.bad_tensors(good[:-1], "truncated")
        self.bad_tensors(good + b"\0", "corrupt")
        self.bad_tensors(b"\xff" * 8 + good[8:], "18446744073709551615")
        self.bad_tensors(struct.pack("<Q", len(good) - 8 - len(data) + 1) + good[8 : len(good) - len(data)] + b"\0" + data, "JSON")
        self.bad_tensors(struct.pack("<Q", 0) + data, "JSON")
        self.bad_tensors(safetensors_raw(b"{" * 100000, b""), "JSON")
        self.bad_tensors(safetensors_raw(b"[" * 1000000 + b"]" * 1000000, b""), "JSON")
        self.bad_tensors(safetensors_raw(b"\xff\xfe{}", b""), "JSON")
        self.bad_tensors(safetensors_raw({}, b""), "'q'")
        entry = lambda begin, end, shape=(12, 3), dtype="F32": dict(dtype=dtype, shape=shape, data_offsets=[begin, end])
        fine = {"q": entry(0, 144), "k": entry(144, 288), "v": entry(288, 384, (12, 2))}
        self.put("good.safetensors", safetensors_raw(fine, data))
        self.put("new.npy", b"old")
        self.succeed("attend", "--in", "good.safetensors", "--out", "new.npy")
        for name, bad in {
            "overlap": entry(143, 287), "gap": entry(145, 289), "backwards": entry(288, 144), "beyond": entry(144, 1 << 62),
            "short": entry(144, 284), "negative": entry(-144, 288), "real": entry(144.0, 288.0), "string": entry("144", "288"),
            "huge": entry(144, 288, (1 << 62, 8)), "too big": entry(144, 288, (1 << 64, 8)), "extent": entry(144, 288, (12, -3)),
            "shape": entry(144, 288, "12"), "wide": entry(144, 288, (12, 4)), "dtype": entry(144, 288, dtype=4),
            "f64": entry(144, 288, (6, 3), "F64"), "unknown": entry(144, 288, dtype="F7"), "null": None, "list": [1, 2],
            "empty": {}, "no offsets": {"dtype": "F32", "shape": [12, 3]}, "one": {**entry(0, 0), "data_offsets": [144]},
        }.items():
            with self.subTest(name):
                self.bad_tensors(safetensors_raw({**fine, "k": bad}, data))
        missing = {"q": entry(0, 144), "k": entry(144, 288), "w": entry(288, 384, (12, 2))}
        self.bad_tensors(safetensors_raw(missing, data), "'v'")
        twice = json.dumps(fine)[:-1] + ', "q": ' + json.dumps(entry(0, 144)) + "}"
        self.bad_tensors(safetensors_raw(twice.encode(), data), "twice")
