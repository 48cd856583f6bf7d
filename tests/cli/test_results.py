# SPDX-License-Identifier: Apache-2.0
"""Values, neighbours, normalisers, codes and gradients against the oracle, in all ranks, types and formats."""

import math

import oracle
from formats import f16, read_npy, safetensors
from harness import CliTest, rounded, rows, tensor

TOLERANCE = {"f32": 1e-6, "f16": 1e-3, "bf16": 8e-3}

# Command-line words and the oracle's options.
CASES = {
    "defaults": ([], {}),
    "few neighbours": (["--neighbours", 4], dict(neighbours=4)),
    "re-ranked": (["--neighbours", 3, "--window", 12], dict(neighbours=3, window=12)),
    "exact": (["--select", "exact", "--neighbours", 5], dict(select="exact", neighbours=5)),
    "chunks": (["--chunk", 8, "--neighbours", 4], dict(chunk=8, neighbours=4)),
    "local": (["--local", 5, "--neighbours", 4], dict(local=5, neighbours=4)),
    "no local": (["--local", 0, "--mean", "off", "--neighbours", 4], dict(local=0, mean=False, neighbours=4)),
    "first": (["--first", 7, "--neighbours", 4], dict(first=7, neighbours=4)),
    "all keys": (["--no-causal", "--neighbours", 6], dict(causal=False, neighbours=6)),
    "all keys, mean": (["--no-causal", "--mean", "on", "--neighbours", 6], dict(causal=False, mean=True, neighbours=6)),
    "gaussian": (["--score", "gaussian", "--gamma", 0.5, "--neighbours", 4], dict(score="gaussian", gamma=0.5, neighbours=4)),
    "laplace": (["--score", "laplace", "--gamma", "2", "--neighbours", 4], dict(score="laplace", gamma=2.0, neighbours=4)),
    "inverse": (["--score", "inverse", "--neighbours", 4], dict(score="inverse", neighbours=4)),
    "dot": (["--score", "dot", "--gamma", 1.5, "--neighbours", 4], dict(score="dot", gamma=1.5, neighbours=4)),
    "scale": (["--scale", 3, "--neighbours", 4], dict(scale=3.0, neighbours=4)),
    "range": (["--grid", "range", "--range", "-2,2", "--neighbours", 4], dict(grid="range", lo=-2.0, hi=2.0, neighbours=4)),
    "unit range": (["--grid", "range", "--neighbours", 4], dict(grid="range", neighbours=4)),
}


class Results(CliTest):
    def compare(self, q, k, v, given, dtype="f32"):
        """out.npy, near.npy and norm.npy of the folder against the oracle. q, k, v are rounded already."""
        o = oracle.options(**given)
        lead = q[0][:-1]
        descr, shape, out = read_npy(self.path("out.npy"))
        self.assertEqual((descr, shape), ("<f4", lead + [v[0][-1]]))
        descr, shape, near = read_npy(self.path("near.npy"))
        self.assertEqual((descr, shape), ("<i4", lead + [o["neighbours"]]))
        descr, shape, norm = read_npy(self.path("norm.npy"))
        self.assertEqual((descr, shape), ("<f4", lead))
        heads = q[0][-3] if len(q[0]) > 2 else 1
        groups = k[0][-3] if len(k[0]) > 2 else 1
        batches = q[0][0] if len(q[0]) == 4 else 1
        n, dv, width = lead[-1], v[0][-1], o["neighbours"]
        gammas = given.get("gamma", 1.0)
        for index in range(batches * heads):
            batch, head = divmod(index, heads)
            source = batch * groups + head * groups // heads
            if isinstance(gammas, list):
                o["gamma"] = gammas[head]
            values = rows(v, source)
            want, chosen, totals = oracle.attend(rows(q, index), rows(k, source), values, o)
            largest = max((abs(x) for row in values for x in row), default=0.0)
            for i in range(n):
                at = index * n + i
                self.assertEqual(near[at * width : (at + 1) * width], chosen[i] + [-1] * (width - len(chosen[i])), msg=(index, i))
                for c in range(dv):
                    self.assertLessEqual(abs(out[at * dv + c] - want[i][c]), TOLERANCE[dtype] * largest, msg=(index, i, c))
                if math.isinf(totals[i]):
                    self.assertEqual(norm[at], totals[i])
                else:
                    self.assertAlmostEqual(norm[at], totals[i], delta=1e-5 * max(1.0, abs(totals[i])))

    def attend(self, sources, words):
        self.succeed("attend", *sources, "--out", "out.npy", "--save-neighbours", "near.npy", "--save-normaliser", "norm.npy",
                     *words)

    def test_options(self):
        q, k, v = tensor(1, 40, 3), tensor(2, 44, 3), tensor(3, 44, 5)
        sources = self.put_qkv(q, k, v)
        for name, (words, given) in CASES.items():
            with self.subTest(name):
                self.attend(sources, words)
                self.compare(q, k, v, given)

    def test_ranks_and_groups(self):
        shapes = [([20, 2], [20, 2], [20, 4]), ([4, 20, 1], [2, 23, 1], [2, 23, 3]), ([2, 4, 12, 3], [2, 2, 14, 3], [2, 2, 14, 1]),
                  ([1, 1, 9, 8], [1, 1, 9, 8], [1, 1, 9, 2]), ([3, 9, 4], [1, 9, 4], [1, 9, 2])]
        for number, trio in enumerate(shapes):
            with self.subTest(trio[0]):
                q, k, v = (tensor(10 * number + i, *shape) for i, shape in enumerate(trio))
                self.attend(self.put_qkv(q, k, v), ["--neighbours", 5])
                self.compare(q, k, v, dict(neighbours=5))

    def test_gamma_per_head(self):
        q, k, v = tensor(1, 3, 16, 3), tensor(2, 3, 16, 3), tensor(3, 3, 16, 2)
        self.attend(self.put_qkv(q, k, v), ["--neighbours", 4, "--gamma", "0.5,1,2"])
        self.compare(q, k, v, dict(neighbours=4, gamma=[0.5, 1.0, 2.0]))

    def test_types(self):
        q, k, v = tensor(1, 30, 3), tensor(2, 30, 3), tensor(3, 30, 4)
        sources = self.put_qkv(q, k, v)
        for dtype in ("f32", "bf16", "f16"):
            with self.subTest(dtype):
                self.attend(sources, ["--neighbours", 4, "--dtype", dtype])
                self.compare(*(rounded(x, dtype) for x in (q, k, v)), dict(neighbours=4), dtype)

    def test_formats(self):
        q, k, v = (rounded(tensor(seed, 25, d), "f16") for seed, d in ((1, 3), (2, 3), (3, 4)))
        for descr in ("<f4", "<f2"):
            for version in ((1, 0), (2, 0), (3, 0)):
                with self.subTest((descr, version)):
                    self.attend(self.put_qkv(q, k, v, descr=descr, version=version), ["--neighbours", 4])
                    self.compare(q, k, v, dict(neighbours=4))
        b = rounded(rounded(v, "bf16"), "f16")
        self.put("qkv.safetensors", safetensors({"v": ("BF16", *b), "other": ("F32", [2], [1.0, 2.0]), "q": ("F32", *q),
                                                 "k": ("F16", *k)}))
        self.attend(["--in", "qkv.safetensors"], ["--neighbours", 4])
        self.compare(q, k, b, dict(neighbours=4))
        self.assertEqual(f16(0.1), 0.0999755859375)

    def test_empty(self):
        q, k, v = tensor(1, 0, 3), tensor(2, 0, 3), tensor(3, 0, 4)
        self.attend(self.put_qkv(q, k, v), [])
        self.compare(q, k, v, {})

    def test_packed(self):
        q, k, v = tensor(1, 20, 3), tensor(2, 24, 3), tensor(3, 24, 2)
        sources = self.put_qkv(q, k, v)
        self.attend(sources, ["--neighbours", 4, "--seqlens", "5,0,15", "--seqlens-k", "7,1,16"])
        _, _, packed = read_npy(self.path("out.npy"))
        begin_q = begin_k = 0
        for lq, lk in ((5, 7), (0, 1), (15, 16)):
            part = [([lq, 3], q[1][begin_q * 3 : (begin_q + lq) * 3]), ([lk, 3], k[1][begin_k * 3 : (begin_k + lk) * 3]),
                    ([lk, 2], v[1][begin_k * 2 : (begin_k + lk) * 2])]
            self.attend(self.put_qkv(*part), ["--neighbours", 4])
            self.assertEqual(read_npy(self.path("out.npy"))[2], packed[begin_q * 2 : (begin_q + lq) * 2])
            begin_q, begin_k = begin_q + lq, begin_k + lk

    def test_codes(self):
        q, k, v = tensor(1, 2, 15, 3), tensor(2, 1, 17, 3), tensor(3, 1, 17, 2)
        sources = self.put_qkv(q, k, v)
        for words, given in (([], {}), (["--grid", "range", "--range", "-1,1"], dict(grid="range", lo=-1.0, hi=1.0))):
            self.succeed("attend", *sources, "--save-codes-q", "cq.npy", "--save-codes-k", "ck.npy", *words)
            o = oracle.options(**given)
            for name, pair in (("cq.npy", q), ("ck.npy", k)):
                matrices = math.prod(pair[0][:-2])
                want = [oracle.code(row, o) for index in range(matrices) for row in rows(pair, index)]
                self.assertEqual(read_npy(self.path(name)), ("<u8", pair[0][:-1], want))

    def test_gradients(self):
        for score, gamma in (("cauchy", 1.0), ("gaussian", 1.5), ("laplace", 1.0), ("inverse", 0.5), ("dot", 2.0)):
            with self.subTest(score):
                self.check_gradients(score, gamma)

    def check_gradients(self, score, gamma):
        q, k, v, g = tensor(1, 10, 3), tensor(2, 12, 3), tensor(3, 12, 2), tensor(4, 10, 2)
        self.put_npy("g.npy", g)
        words = [w for letter in ("q", "k", "v", "gamma") for w in ("--save-grad-" + letter, "grad_%s.npy" % letter)]
        self.succeed("attend", *self.put_qkv(q, k, v), "--neighbours", 4, "--score", score, "--gamma", gamma, "--grad-out",
                     "g.npy", *words)
        o = oracle.options(neighbours=4, score=score, gamma=gamma)
        chosen = oracle.attend(rows(q), rows(k), rows(v), o)[1]
        smooth = oracle.distance, oracle.mean_row  # without rounding to float32, so that differences are smooth
        oracle.distance = lambda a, b: sum((x - y) ** 2 for x, y in zip(a, b))
        oracle.mean_row = lambda block: [sum(column) / len(block) for column in zip(*block)]
        try:
            self.check_differences(q, k, v, g, o, chosen)
        finally:
            oracle.distance, oracle.mean_row = smooth

    def check_differences(self, q, k, v, g, o, chosen):
        def loss():
            out = oracle.attend(rows(q), rows(k), rows(v), o, chosen)[0]
            return math.fsum(x * y for row, grads in zip(out, rows(g)) for x, y in zip(row, grads))

        def difference(box, at, step=1e-5):
            kept = box[at]
            box[at] = kept + step
            high = loss()
            box[at] = kept - step
            low = loss()
            box[at] = kept
            return (high - low) / (2 * step)

        for name, pair in (("q", q), ("k", k), ("v", v)):
            descr, shape, grads = read_npy(self.path("grad_%s.npy" % name))
            self.assertEqual((descr, shape), ("<f4", pair[0]))
            largest = max(map(abs, grads))
            self.assertGreater(largest, 0)
            for at in range(0, len(grads), 3):
                self.assertAlmostEqual(grads[at], difference(pair[1], at), delta=3e-5 * largest + 1e-8, msg=(name, at))
        descr, shape, grads = read_npy(self.path("grad_gamma.npy"))
        self.assertEqual((descr, shape), ("<f4", [1]))
        self.assertAlmostEqual(grads[0], difference(o, "gamma"), delta=3e-5 * abs(grads[0]) + 1e-7)

    def test_recall(self):
        q, k, v = tensor(1, 2, 60, 3), tensor(2, 2, 60, 3), tensor(3, 2, 60, 1)
        sources = self.put_qkv(q, k, v)
        found = self.json(self.succeed("recall", *sources[:4], "--neighbours", 4, "--json"))
        self.assertEqual(set(found), {"recall", "per_head"})
        narrow, exact = oracle.options(neighbours=4), oracle.options(neighbours=4, select="exact")
        for head in range(2):
            shares = []
            for i in range(1, 60):
                query, keys = rows(q, head)[i], rows(k, head)
                farthest = max(oracle.distance(query, keys[j]) for j in oracle.select(query, keys, i, exact))
                chosen = oracle.select(query, keys, i, narrow)
                shares.append(sum(oracle.distance(query, keys[j]) <= farthest for j in chosen) / len(chosen))
            self.assertAlmostEqual(found["per_head"][head], sum(shares) / len(shares), places=5)
        self.assertAlmostEqual(found["recall"], sum(found["per_head"]) / 2, places=6)
        exact = self.json(self.succeed("recall", *sources, "--neighbours", 4, "--select", "exact", "--json"))
        self.assertEqual(exact, {"recall": 1.0, "per_head": [1.0, 1.0]})
        self.assertIn(b"recall 1.0", self.succeed("recall", *sources, "--select", "exact"))
