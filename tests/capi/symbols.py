# SPDX-License-Identifier: Apache-2.0
"""Looks at what is in a library, with nm or readelf. `exported LIBRARY`: the shared library exports zeta_* and nothing else, and all of what the
headers declare. `hardened LIBRARY`: addresses are bound at load time and then read-only, and no stack is executable.
`weak LIBRARY`: no object of the kernels' static library defines a weak symbol, which could replace
baseline code by code for another instruction set."""
import re
import subprocess
import sys

VERSION_NODES = {'_init', '_fini', '_edata', '_end', '__bss_start'}


def defined(nm, options, path):
    """(type letter, name) of each defined symbol."""
    listing = subprocess.run([nm] + options + [path], capture_output=True, text=True, check=True).stdout
    lines = (line.split() for line in listing.splitlines())
    return [(words[-2], words[-1]) for words in lines if len(words) >= 2 and len(words[-2]) == 1 and words[-2] != 'U']


def declared(headers):
    names = set()
    for header in headers:
        with open(header, encoding='utf-8') as text:
            names.update(re.findall(r'ZETA_API[^;(]*?\b(zeta_\w+)\(', text.read()))
    return names


def check_exported(nm, library, headers):
    exported = {name.split('@')[0] for _, name in defined(nm, ['-D', '--defined-only'], library)} - VERSION_NODES
    foreign = sorted(name for name in exported if not name.startswith('zeta_'))
    missing = sorted(declared(headers) - exported)
    return ['exported but not zeta_*: ' + name for name in foreign] + ['declared but not exported: ' + n for n in missing]


def check_weak(nm, library):
    symbols = defined(nm, ['--defined-only'], library)
    if not symbols:
        return ['no symbol found in ' + library]
    # DW.ref.* are pointers to run-time library data, the same in every object.
    return ['weak: ' + name for kind, name in symbols if kind in 'WVu' and not name.startswith('DW.ref.')]


def check_hardened(readelf, library):
    def listing(option):
        return subprocess.run([readelf, '--wide', option, library], capture_output=True, text=True, check=True).stdout

    segments, dynamic = listing('--program-headers'), listing('--dynamic')
    stack = re.search(r'GNU_STACK.*', segments)
    complaints = []
    if 'GNU_RELRO' not in segments:
        complaints.append('no read-only relocations (GNU_RELRO)')
    if 'BIND_NOW' not in dynamic:
        complaints.append('addresses are bound lazily (no BIND_NOW)')
    if stack is None or 'E' in stack.group().split()[-2]:
        complaints.append('the stack may be executable')
    return complaints


def main():
    tool, what, library = sys.argv[1:4]
    checks = {'exported': lambda: check_exported(tool, library, sys.argv[4:]), 'weak': lambda: check_weak(tool, library),
              'hardened': lambda: check_hardened(tool, library)}
    complaints = checks[what]()
    sys.stderr.write(''.join(line + '\n' for line in complaints))
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main())
