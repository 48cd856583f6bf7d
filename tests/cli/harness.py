# SPDX-License-Identifier: Apache-2.0
"""What the test files share: the program's path, a scratch folder per test, random tensors, runs and their checks."""

import json
import os
import random
import subprocess
import tempfile
import unittest

from formats import ROUND, count, f32, npy

_zeta = os.environ.get("ZETA", "zeta")


def use(path):
    global _zeta
    _zeta = os.path.abspath(path)


def zeta_path():
    return _zeta


def tensor(seed, *shape, spread=1.0):
    """(shape, values): normal float32 values."""
    stream = random.Random(seed)
    return list(shape), [f32(stream.gauss(0, spread)) for _ in range(count(shape))]


def rounded(pair, dtype):
    return pair[0], [ROUND[dtype](x) for x in pair[1]]


def rows(pair, index=0):
    """Rows of the index-th [N, d] matrix of a tensor."""
    shape, values = pair
    n, d = shape[-2:]
    base = index * n * d
    return [values[base + i * d : base + (i + 1) * d] for i in range(n)]


class CliTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="zeta-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return name

    def get(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def put_npy(self, name, pair, **how):
        return self.put(name, npy(*pair, **how))

    def put_qkv(self, q, k, v, **how):
        """Writes the three files; gives the options that name them."""
        words = []
        for letter, pair in zip("qkv", (q, k, v)):
            words += ["--" + letter, self.put_npy(letter + ".npy", pair, **how)]
        return words

    def run_zeta(self, *words, **how):
        how.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([_zeta, *map(str, words)], cwd=self.folder, stderr=subprocess.PIPE, timeout=120, **how)

    def succeed(self, *words, **how):
        done = self.run_zeta(*words, **how)
        self.assertEqual((done.returncode, done.stderr), (0, b""), msg=words)
        return done.stdout

    def json(self, text):
        self.assertEqual(text.count(b"\n"), 1)
        return json.loads(text)

    def snapshot(self):
        return {name: self.get(name) for name in os.listdir(self.folder) if os.path.isfile(self.path(name))}

    def refuse(self, code, *words, says=(), **how):
        """The program fails with this exit code, one line that says these words, and every file as it was."""
        before = self.snapshot()
        done = self.run_zeta(*words, **how)
        line = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, msg=(words, line))
        self.assertTrue(line.startswith("zeta: ") and line.endswith("\n") and line.count("\n") == 1, msg=(words, line))
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, line, msg=words)
        self.assertEqual(done.stdout or b"", b"", msg=words)
        self.assertEqual(self.snapshot(), before, msg=words)
        return line
