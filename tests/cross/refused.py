# SPDX-License-Identifier: Apache-2.0
# Platforms that zeta does not support are refused by `meson setup`, with the sentence of the top meson.build: x87 and
# fast mathematics, which the native compiler can show, and the cross files beside this one whose compiler is installed
# (big-endian, 32 bits). With --all a compiler that is missing is an error.
import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(FOLDER))
SENTENCE = 'zeta supports 64-bit little-endian platforms whose float and double are IEEE 754'
CROSS = {'s390x': 'big-endian', 'armhf': '32 bits'}


def setup(options, arguments):
    """Runs `meson setup` in a folder of its own; returns its status and all it printed."""
    environment = {name: value for name, value in os.environ.items() if not re.fullmatch(r'(C|CXX|LD|CPP)FLAGS', name)}
    environment.update(CC=shlex.join(options.cc), CXX=shlex.join(options.cxx))
    with tempfile.TemporaryDirectory() as build:
        run = subprocess.run([options.meson, 'setup', build, ROOT, '-Dapps=disabled', *arguments], text=True,
                             env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
    return run.returncode, run.stdout


def accepts(compiler, flag):
    return subprocess.run([*compiler, flag, '-fsyntax-only', '-x', 'c++', os.devnull],
                          stderr=subprocess.DEVNULL).returncode == 0


def cases(cxx, everything):
    """Yields a name and the arguments of `meson setup`; None for a compiler that is missing."""
    yield 'fast mathematics', ['-Dcpp_args=-ffast-math']
    if accepts(cxx, '-mfpmath=387'):  # g++ for x86
        yield 'x87', ['-Dcpp_args=-mfpmath=387']
    for name, about in CROSS.items():
        path = os.path.join(FOLDER, name + '.ini')
        with open(path, encoding='utf-8') as file:
            prefix = re.search(r"prefix = '(.*)'", file.read()).group(1)
        if shutil.which(prefix + '-g++') and shutil.which(prefix + '-gcc'):
            yield f'{about} ({name})', ['--cross-file', path]
        elif everything:
            yield f'{about} ({name})', None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--all', action='store_true')
    parser.add_argument('--meson', default='meson')
    parser.add_argument('--cc', nargs='+', default=['cc'])
    parser.add_argument('--cxx', nargs='+', default=['c++'])
    options = parser.parse_args()
    wrong = 0
    for name, arguments in cases(options.cxx, options.all):
        if arguments is None:
            wrong += 1
            print(f'{name}: its compiler is not installed')
            continue
        status, text = setup(options, arguments)
        refused = status != 0 and SENTENCE in text
        wrong += not refused
        print(f'{name}: {"refused" if refused else "not refused with the sentence"}')
        if not refused:
            print(text)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
