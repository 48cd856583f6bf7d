# SPDX-License-Identifier: Apache-2.0
"""Compiles every public header alone, as C99 to C17 and C++17 to C++20, with all warnings as errors: by the build's
compilers, and by gcc and clang where they are installed.

Usage: headers.py --cc COMPILER... --cxx COMPILER... --include FOLDER... --headers FILE..."""
import argparse
import os
import shutil
import subprocess
import sys

WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only']
OTHERS = [('gcc', 'g++')] + [('clang' + v, 'clang++' + v) for v in [''] + ['-%d' % n for n in range(30, 13, -1)]]


def identity(compiler):
    """What tells compilers apart: name, version and target."""
    lines = subprocess.run(compiler + ['-v'], capture_output=True, text=True, check=False).stderr.split('\n')
    return [line for line in lines if not line.startswith('COLLECT_GCC=')] # the name it was called by


def pairs_of(cc, cxx):
    """(C compiler, C++ compiler): the build's, one gcc and one clang, each of them once."""
    pairs, seen, families = [(cc, cxx)], [identity(cc)], set()
    for c, cpp in OTHERS:
        family = c.split('-')[0]
        if family in families or shutil.which(c) is None or shutil.which(cpp) is None:
            continue
        families.add(family)
        if identity([c]) not in seen:
            seen.append(identity([c]))
            pairs.append(([c], [cpp]))
    return pairs


def compile_alone(compiler, language, standard, header, includes):
    """The compiler's complaints about a file that holds this header twice and nothing else; '' if there are none."""
    name = 'zeta/' + os.path.basename(header)
    source = '#include "{0}"\n#include "{0}"\nint zeta_header_test_main(void);\n'.format(name)
    warnings = WARNINGS + (['-Wstrict-prototypes', '-Wmissing-prototypes'] if language == 'c' else ['-Wold-style-cast'])
    command = compiler + ['-std=' + standard, '-x', language] + warnings + ['-I' + i for i in includes] + ['-']
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return '' if done.returncode == 0 else '%s as %s by %s:\n%s' % (name, standard, ' '.join(compiler), done.stderr)


def main():
    parser = argparse.ArgumentParser()
    for option in ['--cc', '--cxx', '--include', '--headers']:
        parser.add_argument(option, nargs='+', required=True)
    options = parser.parse_args()
    complaints = []
    pairs = pairs_of(options.cc, options.cxx)
    for cc, cxx in pairs:
        for header in options.headers:
            if header.endswith('.h'):
                for standard in ['c99', 'c11', 'c17']:
                    complaints.append(compile_alone(cc, 'c', standard, header, options.include))
            for standard in ['c++17', 'c++20']:
                complaints.append(compile_alone(cxx, 'c++', standard, header, options.include))
    print('compiled by', ', '.join(' '.join(cc) for cc, _ in pairs))
    sys.stderr.write(''.join(complaints))
    return 1 if any(complaints) else 0


if __name__ == '__main__':
    sys.exit(main())
