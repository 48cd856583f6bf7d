# SPDX-License-Identifier: Apache-2.0
"""Faults of the machine: a disk that is full at any byte of any output, no reader any more, and death at any moment."""

import os
import random
import resource
import signal
import subprocess
import time

from harness import CliTest, tensor, zeta_path

OUTPUT = 4
ATTEND = ("--out", "--save-neighbours", "--save-normaliser", "--save-codes-q", "--save-codes-k", "--save-grad-q",
          "--save-grad-k", "--save-grad-v", "--save-grad-gamma")


class Faults(CliTest):
    def setUp(self):
        super().setUp()
        self.sources = self.put_qkv(tensor(1, 300, 3), tensor(2, 300, 3), tensor(3, 300, 4))
        self.put_npy("grad.npy", tensor(4, 300, 4))
        stream = random.Random(5)
        self.put("text", bytes(stream.choice(b"etaoin shrdlu\n") for _ in range(600)))

    def commands(self):
        """(words, options that name outputs) of everything that writes files."""
        yield ["attend", *self.sources, "--grad-out", "grad.npy"], ATTEND
        predict = ["predict", "--text", "text", "--select", "window", "--neighbours", 8]
        yield [*predict, "--dense", 0], ("--picture", "--save-distributions")
        yield predict, ("--save-cache",)

    def named(self, words, options):
        """With each option naming a file of its own, which holds something already."""
        return [*words, *(word for option in options for word in (option, self.put(option[2:] + ".file", b"precious")))]

    def finished(self, words):
        """What a run that nothing disturbs leaves."""
        self.assertEqual(self.run_zeta(*words).returncode, 0, msg=words)
        return self.snapshot()

    def test_full_disk_at_every_output(self):
        chance = random.Random(7)
        for words, options in self.commands():
            after = self.finished(self.named(words, options))
            sizes = sorted({len(after[option[2:] + ".file"]) for option in options})
            words = self.named(words, options) # precious again
            rooms = {0, 1, *(size - 1 for size in sizes), *(chance.randrange(sizes[-1]) for _ in range(4))}
            for room in sorted(rooms):
                limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
                self.refuse(OUTPUT, *words, says="--", preexec_fn=limit)
            for option in options: # alone
                base = words[: words.index(options[0])]
                if "--grad-out" in base and "grad" not in option:
                    base = base[:-2]
                one = self.named(base, [option]) + (["--no-picture"] if option == "--save-distributions" else [])
                limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (len(after[option[2:] + ".file"]) - 1,) * 2)
                self.refuse(OUTPUT, *one, says=option, preexec_fn=limit)

    def test_nobody_reads(self):
        """A closed pipe and a full device as the standard output of every command: no file changes."""
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        recall = ["recall", *self.sources[:4]]
        predict = ["predict", "--text", "text", "--picture", self.put("p.svg", b"precious"), "--save-distributions", "d.npy",
                   "--neighbours", 8, "--dense", 50]
        commands = (["--help"], ["--version"], ["info"], ["info", "--json"], recall, [*recall, "--json"], predict,
                    [*predict, "--json"], ["predict", "--text", "text", "--load-cache", "kept", "--json"],
                    ["bench", "attend", "--n", 64], ["bench", "decode", "--context", 64, "--steps", 9],
                    ["bench", "--help"], ["attend", *self.sources, "--json", "--out", self.put("out.npy", b"precious")])
        self.assertEqual(self.run_zeta("predict", "--text", "text", "--save-cache", "kept").returncode, 0)
        for words in commands:
            for stdout in (writer, full):
                self.refuse(OUTPUT, *words, says="standard output", stdout=stdout)

    def kill(self, words, seconds):
        """SIGKILL at random moments: each file is old or new, and whole; then the run succeeds where it died."""
        before = self.snapshot()
        start = time.monotonic()
        after = self.finished(words)
        takes = time.monotonic() - start
        chance, states, end = random.Random(os.getpid()), {"old": 0, "mixed": 0, "new": 0}, time.monotonic() + seconds
        while time.monotonic() < end:
            for name, data in before.items():
                self.put(name, data)
            job = subprocess.Popen([zeta_path(), *map(str, words)], cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            time.sleep(takes * chance.uniform(0.3, 1.1))
            job.send_signal(signal.SIGKILL)
            job.wait(timeout=60)
            found = {name: data for name, data in self.snapshot().items() if not name.startswith(".zeta-")}
            self.assertEqual(set(found), set(before))
            for name, data in found.items():
                self.assertIn(data, (before[name], after[name]), msg=name)
            changed = [name for name in found if before[name] != after[name]]
            new = sum(found[name] == after[name] for name in changed)
            states["old" if new == 0 else "new" if new == len(changed) else "mixed"] += 1
        self.assertGreater(states["old"], 0)
        self.assertGreater(states["mixed"] + states["new"], 0, msg="never killed after a first rename")
        again = self.finished(words)
        self.assertEqual({name: again[name] for name in after}, after)
        return states

    def test_killed_while_it_attends(self):
        big = self.put_qkv(tensor(1, 3000, 3), tensor(2, 3000, 3), tensor(3, 3000, 40))
        self.kill(self.named(["attend", *big], ("--out", "--save-neighbours", "--save-normaliser")), 4)

    def test_killed_while_it_saves_a_cache(self):
        words = ["predict", "--text", "text", "--neighbours", 8]
        self.kill(self.named(words, ("--save-cache",)), 4)
