# SPDX-License-Identifier: Apache-2.0
# Platforms that zeta does not support are refused by `meson setup`, with the sentence of the top meson.build and for
# the reason named here. The native compiler shows all reasons: x87, fast mathematics, and, by what it is made to say of
# itself, big-endian and 32 bits; so do the cross files beside this one whose compiler is installed. With --all a
# compiler that is missing is an error.
import argparse
import os
import pathlib
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
NATIVE = {
    'fast mathematics': '-ffast-math',
    'big-endian': '-U__BYTE_ORDER__ -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__',
    '32 bits': '-U__SIZEOF_POINTER__ -D__SIZEOF_POINTER__=4',
}


def setup(options, arguments):
    """Runs `meson setup` in a folder of its own; returns its status, all it printed, and its log."""
    environment = {name: value for name, value in os.environ.items() if not re.fullmatch(r'(C|CXX|LD|CPP)FLAGS', name)}
    environment.update(CC=shlex.join(options.cc), CXX=shlex.join(options.cxx))
    with tempfile.TemporaryDirectory() as build:
        run = subprocess.run([options.meson, 'setup', build, ROOT, '-Dapps=disabled', *arguments], text=True,
                             env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
        log = pathlib.Path(build, 'meson-logs', 'meson-log.txt')
        return run.returncode, run.stdout, log.read_text(encoding='utf-8', errors='replace') if log.exists() else ''


def accepts(compiler, flag):
    return subprocess.run([*compiler, flag, '-fsyntax-only', '-x', 'c++', os.devnull],
                          stderr=subprocess.DEVNULL).returncode == 0


def cases(cxx, everything):
    """Yields a name, the reason and the arguments of `meson setup`; None for a compiler that is missing."""
    for reason, flags in NATIVE.items():
        yield reason, reason, [f'-Dcpp_args={flags}']
    if accepts(cxx, '-mfpmath=387'):  # g++ for x86
        yield 'x87', 'no excess precision', ['-Dcpp_args=-mfpmath=387']
    for name, reason in CROSS.items():
        path = os.path.join(FOLDER, name + '.ini')
        with open(path, encoding='utf-8') as file:
            prefix = re.search(r"prefix = '(.*)'", file.read()).group(1)
        if shutil.which(prefix + '-g++') and shutil.which(prefix + '-gcc'):
            yield f'{reason} ({name})', reason, ['--cross-file', path]
        elif everything:
            yield f'{reason} ({name})', reason, None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--all', action='store_true')
    parser.add_argument('--meson', default='meson')
    parser.add_argument('--cc', nargs='+', default=['cc'])
    parser.add_argument('--cxx', nargs='+', default=['c++'])
    options = parser.parse_args()
    wrong = 0
    for name, reason, arguments in cases(options.cxx, options.all):
        if arguments is None:
            wrong += 1
            print(f'{name}: its compiler is not installed')
            continue
        status, text, log = setup(options, arguments)
        refused = status != 0 and SENTENCE in text
        right = refused and re.search(rf'error: .*{reason}', log) is not None
        wrong += not right
        print(f'{name}: {"refused" if right else "refused for another reason" if refused else "not refused"}')
        if not right:
            print(text if not refused else log)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
