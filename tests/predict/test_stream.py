# SPDX-License-Identifier: Apache-2.0
"""zeta predict with a cache: a stream has the figures of the whole file, an end is clean, what was saved goes on.

Usage: test_stream.py PATH_TO_ZETA PATH_TO_TEXT [unittest options]
Only Python's standard library is used.
"""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ZETA, TEXT = "zeta", ""
LENGTH = 1200
MODEL = ("--neighbours", 16)
BOUNDED = (*MODEL, "--keep", 100, "--renew", 330)
FIGURES = ("bytes", "bits_per_byte", "size", "cache_length", "cache_first")


class StreamTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="zeta-stream-")
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

    def command(self, *words):
        return [ZETA, "predict", *map(str, words)]

    def run_zeta(self, *words, **how):
        return subprocess.run(self.command(*words), cwd=self.folder, capture_output=True, timeout=300, **how)

    def report(self, *words, **how):
        done = self.run_zeta(*words, "--json", **how)
        self.assertEqual((done.returncode, done.stderr), (0, b""), msg=words)
        self.assertEqual(done.stdout.count(b"\n"), 1)
        return json.loads(done.stdout)

    def stream(self, data, *words):
        return self.report("--stream", *words, input=data)

    def of_file(self, data, *words):
        return self.report("--text", self.put("text", data), *words)

    def start(self, *words, **how):
        # A shell that starts the tests in its background lets them ignore Ctrl-C.
        obey = lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL), signal.signal(signal.SIGHUP, signal.SIG_DFL))
        return subprocess.Popen(self.command("--stream", *words), cwd=self.folder, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, bufsize=0, preexec_fn=obey, **how)

    def figures(self, report):
        return [report[name] for name in FIGURES]

    def refuse(self, code, says, *words, **how):
        before = {name: self.get(name) for name in os.listdir(self.folder) if os.path.isfile(self.path(name))}
        done = self.run_zeta(*words, **how)
        line = done.stderr.decode(errors="replace")
        self.assertEqual((done.returncode, done.stdout), (code, b""), msg=(words, line))
        self.assertTrue(line.startswith("zeta: ") and line.count("\n") == 1, msg=line)
        self.assertIn(says, line)
        for name, data in before.items():
            self.assertEqual(self.get(name), data, msg=words)
        self.assertFalse([name for name in os.listdir(self.folder) if name.startswith(".")])


class Streams(StreamTest):
    def test_a_stream_has_the_figures_of_the_whole_file(self):
        data = SAMPLE[:LENGTH]
        every = bytes(range(256)) + b"\0" * 50 + SAMPLE[:200]
        for text, words in ((data, ()), (data, ("--select", "reranked")), (data, ("--select", "exact")), (every, ()),
                            (data, ("--dk", 5, "--gamma", "0.1,0.001")), (b"a", ())):
            select = () if "--select" in words else ("--select", "window")
            whole = self.of_file(text, *MODEL, *select, "--dense", 0, "--no-picture", *words)["passes"][0]
            found = self.stream(text, *MODEL, *words)
            self.assertEqual(found["bits_per_byte"], whole["bits_per_byte"], msg=words)
            self.assertEqual((found["size"], found["bytes"], found["end"]), (whole["size"], len(text), "end"))
            self.assertEqual(found["select"], whole["select"])

    def test_pieces_and_threads_do_not_matter(self):
        data = SAMPLE[:LENGTH]
        for words in (MODEL, BOUNDED, (*MODEL, "--keep", 1, "--renew", 2), (*MODEL, "--keep", 40)):
            bytewise = self.figures(self.stream(data, *words))
            self.assertEqual(self.figures(self.stream(data, *words, "--threads", 1)), bytewise)
            words = (*words, *(() if "--keep" in words else ("--keep", 65536)))
            self.assertEqual(self.figures(self.of_file(data, *words, "--save-cache", "c")), bytewise, msg=words)

    def test_memory_is_bounded(self):
        all_kept, few = self.stream(SAMPLE[:3000], *MODEL), self.stream(SAMPLE[:3000], *MODEL, "--keep", 160)
        self.assertEqual((all_kept["cache_first"], all_kept["cache_length"]), (0, 3000))
        self.assertTrue(160 <= few["cache_length"] - few["cache_first"] <= 170)
        self.assertEqual(few["cache_length"], 3000)
        again = self.stream(SAMPLE[:3000], *MODEL, "--keep", 160, "--renew", 400)
        self.assertTrue(160 <= again["cache_length"] <= 400)
        self.assertLess(few["bits_per_byte"], 8)
        self.assertNotEqual(few["bits_per_byte"], all_kept["bits_per_byte"])

    def test_the_limit_and_empty_input(self):
        part = self.stream(SAMPLE[:700], *MODEL)
        cut = self.stream(SAMPLE[:LENGTH], *MODEL, "--limit", 700)
        self.assertEqual((cut["bits_per_byte"], cut["end"], part["end"]), (part["bits_per_byte"], "limit", "end"))
        empty = self.stream(b"")
        self.assertEqual((empty["bytes"], empty["bits_per_byte"], empty["end"]), (0, None, "end"))
        closed = self.report("--stream", preexec_fn=lambda: os.close(0))
        self.assertEqual(closed["bytes"], 0)

    def test_the_table(self):
        done = self.run_zeta("--stream", *MODEL, input=SAMPLE[:300])
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for word in (b"standard input", b"300 bytes", b"bits/byte", b"to the end"):
            self.assertIn(word, done.stdout)

    def test_bytes_are_predicted_as_they_come(self):
        """On a terminal the figures run along, before the input ends."""
        master, slave = pty.openpty()
        job = self.start(*MODEL, "--json", stderr=slave)
        os.close(slave)
        try:
            for sent in (1, 2, 50):
                job.stdin.write(SAMPLE[:sent])
                total = {1: 1, 2: 3, 50: 53}[sent]
                shown = b""
                while not re.search(rb"\r%d bytes, \d+\.\d{4} bits/byte" % total, shown):
                    shown += os.read(master, 4096)
            job.send_signal(signal.SIGINT)
            out = job.communicate(timeout=60)[0]
        finally:
            job.kill()
            os.close(master)
        found = json.loads(out)
        self.assertEqual((job.returncode, found["bytes"], found["end"]), (0, 53, "interrupt"))


class Ends(StreamTest):
    def interrupted(self, signum, *words):
        """Sends a signal while input is waiting to be predicted, or awaited; gives the report."""
        job = self.start(*MODEL, "--json", *words, stderr=subprocess.PIPE)
        feeder = threading.Thread(target=self.feed, args=(job,))
        feeder.start()
        time.sleep(0.7)
        job.send_signal(signum)
        out, error = job.stdout.read(), job.stderr.read()
        job.wait(timeout=60)
        feeder.join()
        for stream in (job.stdout, job.stderr):
            stream.close()
        self.assertEqual((job.returncode, error), (0, b""))
        return json.loads(out)

    def feed(self, job):
        try:
            job.stdin.write(SAMPLE)
            job.stdin.close()
        except BrokenPipeError:
            pass

    def test_signals_end_cleanly(self):
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            found = self.interrupted(signum)
            self.assertEqual(found["end"], "interrupt")
            self.assertLess(found["bytes"], len(SAMPLE))
            if found["bytes"]:
                self.assertEqual(found["bits_per_byte"],
                                 self.stream(SAMPLE, *MODEL, "--limit", found["bytes"])["bits_per_byte"])

    def test_an_interrupted_stream_is_saved(self):
        found = self.interrupted(signal.SIGINT, "--save-cache", "c", "--keep", 300)
        after = found["bytes"]
        rest = SAMPLE[after : after + 200]
        whole = self.stream(SAMPLE, *MODEL, "--keep", 300, "--limit", after + 200)
        self.assertEqual(self.figures(self.stream(rest, *MODEL, "--keep", 300, "--load-cache", "c")), self.figures(whole))

    def test_nobody_reads_the_figures(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(self.command("--stream", *MODEL, "--save-cache", "c"), cwd=self.folder, input=SAMPLE[:200],
                              stdout=writer, stderr=subprocess.PIPE, timeout=60)
        os.close(writer)
        self.assertEqual((done.returncode, done.stderr), (4, b"zeta: the standard output cannot be written\n"))
        self.assertEqual(self.stream(b"", *MODEL, "--load-cache", "c")["bytes"], 200)

    def test_input_that_cannot_be_read(self):
        folder = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        self.refuse(3, "standard input", "--stream", stdin=folder)


class Saved(StreamTest):
    def test_parts_have_the_figures_of_the_whole(self):
        data = SAMPLE[:LENGTH]
        for words in (("--keep", 0, *MODEL), BOUNDED, ("--keep", 0, "--select", "reranked", *MODEL),
                      ("--keep", 0, "--select", "exact", "--dk", 2, *MODEL)):
            whole = self.stream(data, *words)
            for cut in (0, 1, 2, 100, 330, 331, 800, LENGTH):
                self.stream(data[:cut], *words, "--save-cache", "c")
                self.assertEqual(self.figures(self.stream(data[cut:], *words, "--load-cache", "c")), self.figures(whole),
                                 msg=(words, cut))
            self.of_file(data[:500], *words, "--save-cache", "c")
            found = self.of_file(data[500:], *words, "--load-cache", "c", "--save-cache", "c")
            self.assertEqual(self.figures(found), self.figures(whole), msg=words)
            self.assertEqual((found["new_bytes"], found["bytes"]), (LENGTH - 500, LENGTH))
            self.assertEqual(self.figures(self.stream(b"", *words, "--load-cache", "c")), self.figures(whole))

    def test_other_options_are_refused(self):
        self.of_file(SAMPLE[:300], *MODEL, "--save-cache", "c")
        load = ("--load-cache", "c", "--text", "text")
        for words, says in ((("--neighbours", 8), "--neighbours 16, not 8"), (("--dk", 2), "--dk 3, not 2"),
                            (("--select", "exact"), "--select window, not exact"), (("--gamma", "0.1"), "--gamma"),
                            (("--keep", 10), "--keep 0, not 10"), (("--renew", 5000), "--renew 16777216, not 5000")):
            words = words if "--neighbours" in words else (*MODEL, *words)
            self.refuse(3, says, *load, *words)
        self.of_file(SAMPLE[:300], *MODEL, "--select", "reranked", "--save-cache", "c")
        self.refuse(3, "--window 64, not 32", *load, *MODEL, "--select", "reranked", "--window", 32)

    def test_bad_files_are_refused(self):
        self.of_file(SAMPLE[:300], *MODEL, "--keep", 50, "--gamma", "0.01", "--save-cache", "c")
        good = self.get("c")
        load = ("--load-cache", "bad", "--save-cache", "c", "--text", "text", *MODEL, "--keep", 50, "--gamma", "0.01")
        state = 40 + struct.unpack("<Q", good[24:32])[0]
        for size in (0, 7, 8, 39, 40, 100, state - 1, state, state + 10, len(good) - 1):
            self.put("bad", good[:size])
            self.refuse(3, "bad: ", *load)
        for at in (0, 8, 12, 16, 24, 32, 40, 44, 60, 90, 99, 130, state - 3, state, state + 20, len(good) - 1):
            self.put("bad", good[:at] + bytes([good[at] ^ 16]) + good[at + 1 :])
            self.refuse(3, "bad: ", *load)
        self.put("bad", good + b"\0")
        self.refuse(3, "bad: truncated or corrupt", *load)
        self.put("bad", good[:8] + struct.pack("<I", 2) + good[12:])
        self.refuse(3, "bad: has format version 2", *load)
        self.put("bad", SAMPLE[:5000])
        self.refuse(3, "bad: not a file of zeta predict", *load)
        self.refuse(3, "nowhere", "--load-cache", "nowhere", "--text", "text")
        os.mkfifo(self.path("pipe"))
        self.refuse(3, "pipe", "--load-cache", "pipe", "--text", "text")

    def test_places_that_cannot_be_written(self):
        self.put("text", SAMPLE[:300])
        self.refuse(4, "--save-cache", "--text", "text", "--save-cache", "absent/c")
        self.refuse(4, "--save-cache", "--text", "text", "--save-cache", ".")
        self.refuse(4, "--save-cache", "--stream", "--save-cache", "/dev/full", input=b"abc")

    def test_words_that_do_not_go_together(self):
        self.put("text", SAMPLE[:300])
        for words in (("--keep", 5), ("--renew", 5), ("--stream", "--text", "text"), ("--stream", "--dense", 5),
                      ("--stream", "--picture", "p.svg"), ("--stream", "--select", "window,exact"),
                      ("--stream", "--save-distributions", "p.npy"), ("--save-cache", "c", "--dense", 5),
                      ("--stream", "--keep", 6, "--renew", 11), ("--stream", "--keep", -1), ("--stream", "--renew", 1),
                      ("--stream", "--neighbours", 8, "--window", 4), ("--save-cache", ""), ("--load-cache", "")):
            self.refuse(2, words[0] if "--stream" not in words else "--", *words, input=b"abc")


if __name__ == "__main__":
    ZETA, TEXT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    del sys.argv[1:3]
    with open(TEXT, "rb") as corpus:
        SAMPLE = corpus.read()
    unittest.main()
