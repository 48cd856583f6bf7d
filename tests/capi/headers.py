# SPDX-License-Identifier: Apache-2.0
"""Compiles every public header alone, as C99 to C17 and C++17 to C++20, with all warnings as errors.

Usage: headers.py --cc COMPILER... --cxx COMPILER... --include FOLDER... --headers FILE..."""
import argparse
import os
import subprocess
import sys

WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only']


def compile_alone(compiler, language, standard, header, includes):
    """The compiler's complaints about a file that holds this header twice and nothing else; '' if there are none."""
    name = 'zeta/' + os.path.basename(header)
    source = '#include "{0}"\n#include "{0}"\nint zeta_header_test_main(void);\n'.format(name)
    warnings = WARNINGS + (['-Wstrict-prototypes', '-Wmissing-prototypes'] if language == 'c' else ['-Wold-style-cast'])
    command = compiler + ['-std=' + standard, '-x', language] + warnings + ['-I' + i for i in includes] + ['-']
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return '' if done.returncode == 0 else '%s as %s:\n%s' % (name, standard, done.stderr)


def main():
    parser = argparse.ArgumentParser()
    for option in ['--cc', '--cxx', '--include', '--headers']:
        parser.add_argument(option, nargs='+', required=True)
    options = parser.parse_args()
    complaints = []
    for header in options.headers:
        if header.endswith('.h'):
            for standard in ['c99', 'c11', 'c17']:
                complaints.append(compile_alone(options.cc, 'c', standard, header, options.include))
        for standard in ['c++17', 'c++20']:
            complaints.append(compile_alone(options.cxx, 'c++', standard, header, options.include))
    sys.stderr.write(''.join(complaints))
    return 1 if any(complaints) else 0


if __name__ == '__main__':
    sys.exit(main())
