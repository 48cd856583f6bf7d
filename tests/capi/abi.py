# SPDX-License-Identifier: Apache-2.0
"""The binary interface as the public C headers give it: every function's prototype, every struct's size and the offset,
size and type of its fields, every enum value and limit. Compares it with a committed text, or writes that text anew.

Usage: abi.py [--update] --cc COMPILER... --include FOLDER... --baseline FILE --headers FILE...
Numbers come out of an object file, so that this works for another machine's compiler too: all are 64-bit."""
import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile

MARK = 'zeta abi:'
DIGITS, SHIFT = 12, 1000000


def plain(text):
    """C without comments and preprocessor lines, blanks single."""
    text = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
    text = '\n'.join(line for line in text.split('\n') if not line.startswith('#'))
    text = re.sub(r'extern "C" \{', ' ', text)
    return re.sub(r'\s+', ' ', text)


def limits(text):
    return re.findall(r'^#define (ZETA_(?!VERSION)\w+) +\d+', text, flags=re.M)


def field_names(declaration):
    """`const T *a, *b` -> [('const T *', 'a'), ('const T *', 'b')]; a function pointer or an array is one name."""
    function = re.fullmatch(r'(.*\(\*)(\w+)(\).*)', declaration)
    if function:
        return [(function.group(1) + function.group(3), function.group(2))]
    first, *others = [part.strip() for part in declaration.split(',')]
    base, stars, name, extent = re.fullmatch(r'(.*?)(\**)(\w+)((?:\[\w+\])*)', first).groups()
    result = [(base + stars + extent, name)]
    for other in others:
        stars, name, extent = re.fullmatch(r'(\**)(\w+)((?:\[\w+\])*)', other).groups()
        result.append((base + stars + extent, name))
    return result


def describe(headers):
    """Lines of the text, where {n} stands for the n-th of the expressions that are returned with them."""
    lines, expressions = [], []

    def number(expression):
        expressions.append(expression)
        return '{%d}' % (len(expressions) - 1)

    for path in headers:
        with open(path, encoding='utf-8') as file:
            text = file.read()
        lines.append('# zeta/' + os.path.basename(path))
        lines += ['limit %s %s' % (name, number(name)) for name in limits(text)]
        for name, body in re.findall(r'enum (\w+ )?\{(.*?)\}', plain(text)):
            for value in re.findall(r'(\w+) ?(?:=[^,]*)?(?:,|$)', body.strip()):
                lines.append('value %s %s' % (value, number(value)))
            if name:
                lines.append('enum %ssize %s' % (name, number('sizeof(%s)' % name)))
        for name, body in re.findall(r'typedef struct (\w+) \{(.*?)\} \w+;', plain(text)):
            lines.append('struct %s size %s alignment %s' %
                         (name, number('sizeof(%s)' % name), number('offsetof(struct { char c; %s s; }, s)' % name)))
            for declaration in filter(None, (part.strip() for part in body.split(';'))):
                for kind, field in field_names(declaration):
                    offset = number('offsetof(%s, %s)' % (name, field))
                    size = number('sizeof(((%s *)0)->%s)' % (name, field))
                    lines.append('  at %s size %s %s: %s' % (offset, size, field, ' '.join(kind.split())))
        lines += ['type ' + t for t in re.findall(r'typedef (struct \w+ \w+|[^{};]*\(\*\w+\)[^;]*);', plain(text))]
        lines += ['function ' + f.strip() for f in re.findall(r'ZETA_API ([^;]*);', plain(text))]
    return lines, expressions


def values(expressions, compiler, includes, headers):
    """What the compiler makes of constant expressions."""
    source = '#include <stddef.h>\n' + ''.join('#include "zeta/%s"\n' % os.path.basename(h) for h in headers)
    source += 'extern const char zeta_abi[];\nconst char zeta_abi[] = {%s' % ', '.join("'%s'" % c for c in MARK)
    for expression in expressions: # shifted, for enum values may be negative
        source += ',\n' + ', '.join("'0' + ((long long)(%s) + SHIFT) / %d %% 10" % (expression, 10**place)
                                    for place in reversed(range(DIGITS))).replace('SHIFT', str(SHIFT))
    source += '};\n'
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'abi.c')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(source)
        command = compiler + ['-std=c99', '-c', path, '-o', path + '.o']
        subprocess.run(command + ['-I' + folder for folder in includes], check=True)
        with open(path + '.o', 'rb') as file:
            table = file.read()
    start = table.index(MARK.encode()) + len(MARK)
    return [int(table[at:at + DIGITS]) - SHIFT for at in range(start, start + DIGITS * len(expressions), DIGITS)]


def main():
    parser = argparse.ArgumentParser()
    for option in ['--cc', '--include', '--headers']:
        parser.add_argument(option, nargs='+', required=True)
    parser.add_argument('--baseline', required=True)
    parser.add_argument('--update', action='store_true')
    options = parser.parse_args()
    headers = [h for h in options.headers if h.endswith('.h')]
    lines, expressions = describe(headers)
    numbers = values(expressions, options.cc, options.include, headers)
    text = re.sub(r'\{(\d+)\}', lambda found: str(numbers[int(found.group(1))]), '\n'.join(lines) + '\n')
    if options.update:
        with open(options.baseline, 'w', encoding='utf-8') as file:
            file.write(text)
        return 0
    with open(options.baseline, encoding='utf-8') as file:
        expected = file.read()
    change = difflib.unified_diff(expected.splitlines(True), text.splitlines(True), 'the baseline', 'the headers')
    sys.stderr.writelines(change)
    if text != expected:
        sys.stderr.write('The binary interface changed. If that is meant: see "Trust" in CONTRIBUTING.md.\n')
    return int(text != expected)


if __name__ == '__main__':
    sys.exit(main())
