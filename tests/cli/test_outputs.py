# SPDX-License-Identifier: Apache-2.0
"""Outputs: all or none, whatever stands in their way."""

import os
import resource
import signal
import stat
import subprocess
import time

from formats import read_npy
from harness import CliTest, tensor, zeta_path

USAGE, OUTPUT = 2, 4


class Outputs(CliTest):
    def setUp(self):
        super().setUp()
        self.sources = self.put_qkv(tensor(1, 400, 3), tensor(2, 400, 3), tensor(3, 400, 4))
        self.put("out.npy", b"precious")

    def attend(self, *words):
        return ["attend", *self.sources, *words]

    def test_places(self):
        os.mkdir(self.path("folder"))
        os.symlink("nowhere", self.path("dangling"))
        os.mkfifo(self.path("pipe"))
        for path, says in (("missing/near.npy", "No such file"), ("folder", "not a regular file"), ("pipe", "not a regular file"),
                           ("/dev/null", "not a regular file"), ("dangling", "link"), ("new/", "folder"),
                           ("q.npy/near.npy", "near.npy"), ("n" * 252 + ".npy", "name too long")):
            with self.subTest(path):
                self.refuse(OUTPUT, *self.attend("--out", "out.npy", "--save-neighbours", path), says=["--save-neighbours", says])
                self.refuse(OUTPUT, *self.attend("--out", path, "--save-neighbours", "out.npy"), says=["--out", says])

    def test_one_path_twice(self):
        os.symlink("out.npy", self.path("link"))
        os.mkdir(self.path("folder"))
        for first, second in (("out.npy", "./out.npy"), ("new.npy", "folder/../new.npy"), ("link", "out.npy")):
            self.refuse(USAGE, *self.attend("--out", first, "--save-normaliser", second), says=["--out", "--save-normaliser"])

    def test_full_disk(self):
        """Of two outputs the first fits and the second does not."""
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
        self.refuse(OUTPUT, *self.attend("--out", "out.npy", "--save-neighbours", "near.npy"), says="--save-neighbours",
                    preexec_fn=limit)

    def test_closed_streams(self):
        """Without somebody to read the report nothing is committed, and no stream's number goes to a file."""
        words = self.attend("--out", "out.npy", "--json")
        before = self.snapshot()
        with open("/dev/full", "wb") as full:
            self.refuse(OUTPUT, *words, says="standard output", stdout=full)
            self.refuse(OUTPUT, "info", says="standard output", stdout=full)
        reader, writer = os.pipe()
        os.close(reader)
        for command in (words, ["info", "--json"], ["attend", "--help"], ["bench", "attend", "--n", "64"],
                        ["bench", "decode", "--context", "64", "--steps", "9"]):
            self.refuse(OUTPUT, *command, says="standard output", stdout=writer)
        os.close(writer)
        self.refuse(OUTPUT, *words, says="standard output", preexec_fn=lambda: os.close(1))
        self.assertEqual(self.snapshot(), before)
        done = self.run_zeta(*words, preexec_fn=lambda: (os.close(0), os.close(2)))
        self.assertEqual(done.returncode, 0)
        self.assertEqual(read_npy(self.path("out.npy"))[1], [400, 4])

    def test_replaced(self):
        os.chmod(self.path("out.npy"), 0o640)
        os.mkdir(self.path("folder"))
        self.put("folder/target.npy", b"old")
        os.symlink("folder/target.npy", self.path("link.npy"))
        os.umask(0o022)
        self.assertEqual(self.succeed(*self.attend("--out", "out.npy", "--save-normaliser", "link.npy", "--save-neighbours",
                                                   "n" * 251 + ".npy")), b"")
        self.assertEqual(read_npy(self.path("out.npy"))[1], [400, 4])
        self.assertEqual(stat.S_IMODE(os.stat(self.path("out.npy")).st_mode), 0o640)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("n" * 251 + ".npy")).st_mode), 0o644)
        self.assertTrue(os.path.islink(self.path("link.npy")))
        self.assertEqual(read_npy(self.path("folder/target.npy"))[1], [400])
        left = set(os.listdir(self.folder)) | set(os.listdir(self.path("folder")))
        self.assertFalse([name for name in left if name.startswith(".")])

    def interrupt(self, words, sign, ready):
        """Sends the signal once ready() holds: cancelled, nothing left, no death by signal."""
        before = self.snapshot()
        # A shell that starts the tests in its background lets them ignore Ctrl-C.
        obey = lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL), signal.signal(signal.SIGHUP, signal.SIG_DFL))
        job = subprocess.Popen([zeta_path(), *map(str, words)], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=obey)
        end = time.monotonic() + 60
        while not ready() and job.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        self.assertIsNone(job.poll(), msg="it ended early")
        job.send_signal(sign)
        out, line = job.communicate(timeout=60)
        self.assertEqual((job.returncode, out, line), (1, b"", f"zeta: {words[0]}: interrupted\n".encode()), msg=(words, sign))
        self.assertEqual(self.snapshot(), before)

    def after(self, seconds):
        end = time.monotonic() + seconds
        return lambda: time.monotonic() > end

    def temporary(self):
        return any(name.startswith(".zeta-") for name in os.listdir(self.folder))

    def test_interrupt(self):
        for words in (["attend", "--n", 512, "--repeat", 1000000], ["decode", "--context", 512, "--steps", 100000000]):
            self.interrupt(["bench", *words, "--threads", 1], signal.SIGTERM, self.after(1))

    def test_interrupt_while_it_writes(self):
        """Once the first temporary file is there."""
        big = self.put_qkv(tensor(1, 20000, 3), tensor(2, 20000, 3), tensor(3, 20000, 40))
        words = ["attend", *big, *(word for option in ("--out", "--save-neighbours", "--save-normaliser", "--save-codes-q")
                                   for word in (option, self.put(option[2:], b"precious"))), "--neighbours", 1000]
        for sign in (signal.SIGINT, signal.SIGHUP):
            self.interrupt(words, sign, self.temporary)

    def test_interrupt_predict(self):
        """In a pass, and while distributions are written."""
        self.put("text", bytes(i * i % 251 for i in range(60000)))
        words = ["predict", "--text", "text", "--select", "window", "--dense", 0, "--no-picture"]
        saved = [*words, "--neighbours", 8, "--gamma", "0.1", "--save-distributions", self.put("d.npy", b"precious"), "--json"]
        self.interrupt([*words, "--neighbours", 1024], signal.SIGTERM, self.after(0.3))
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.interrupt(saved, sign, self.temporary)

    def test_ignored_stays_ignored(self):
        """Under nohup a terminal that is closed ends nothing."""
        words = [zeta_path(), "bench", "attend", "--n", "512", "--repeat", "2000", "--threads", "1"]
        job = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        time.sleep(0.2)
        job.send_signal(signal.SIGHUP)
        out, line = job.communicate(timeout=60)
        self.assertEqual((job.returncode, line), (0, b""))
