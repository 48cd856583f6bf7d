# SPDX-License-Identifier: Apache-2.0
"""Kills a process that saves a cache over and over, at random moments and at chosen bytes: the file always holds one of the
states, and none older than the last one that was reported as saved. test_kill.py SAVER [--seconds S] [--seed N]"""
import argparse
import os
import pathlib
import random
import resource
import signal
import subprocess
import tempfile
import time

STATES = 200


def check(saver, path):
    done = subprocess.run([saver, 'check', path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def kill_at_moments(saver, path, seconds, random):
    """The state on disk is the last one reported or the one after it."""
    end, kills, state = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        process = subprocess.Popen([saver, 'save', path, str(state)], stdout=subprocess.PIPE, text=True)
        reported = int(process.stdout.readline())  # it runs
        time.sleep(random.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        lines = [line for line in rest.split('\n')[:-1]]
        reported = int(lines[-1]) if lines else reported
        state = check(saver, path)
        assert state in (reported, (reported + 1) % STATES), (state, reported)
        kills += 1
    return kills


def kill_at_bytes(saver, path, random):
    """The kernel ends the process when its temporary file would outgrow a limit: the old file stays."""
    state, size = check(saver, path), os.path.getsize(path)
    limits = [0, 1, 7, 8, 151, 152, size - 1] + [random.randrange(size) for _ in range(8)]
    for limit in limits:
        before = pathlib.Path(path).read_bytes()
        process = subprocess.run([saver, 'save', path, str(state)], stdout=subprocess.DEVNULL,
                                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        assert process.returncode == -signal.SIGXFSZ, process.returncode
        assert pathlib.Path(path).read_bytes() == before
    assert check(saver, path) == state
    return len(limits)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('saver')
    parser.add_argument('--seconds', type=float, default=8)
    parser.add_argument('--seed', type=int, default=time.time_ns() % 100000)
    options = parser.parse_args()
    print(f'--seed {options.seed}')
    chance = random.Random(options.seed)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'cache')
        moments = kill_at_moments(options.saver, path, options.seconds, chance)
        left = set(os.listdir(folder)) - {'cache'}
        assert all(name.startswith('.zeta-cache-') for name in left), left
        bytes_ = kill_at_bytes(options.saver, path, chance)
        print(f'killed at {moments} moments, {len(left)} of them inside a save, and at {bytes_} bytes')
        assert moments > 0


main()
