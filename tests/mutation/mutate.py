#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Would the tests notice? Breaks one thing at a time in a copy of the sources, as listed in mutants*.py, and runs the
# tests that should fail. Copies the working tree (what git tracks or does not ignore), builds it once, checks that the
# chosen tests pass as it is, then for each mutant changes the lines, builds, tests and restores. By hand:
#     tests/mutation/mutate.py [NAME ...] [--file PATTERN] [--jobs N] [--build FOLDER]
# Exit status 1 if a mutant survives, does not build or no longer applies.
import argparse
import concurrent.futures
import fnmatch
import functools
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import mutants
import mutants_cache  # adds its own to the list

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ('property', 'kernels', 'unit', 'capi', 'cache')
TARGETS = [f'tests/{name}/test-{name}' for name in PROGRAMS]
LEAST_LIMIT = 60  # seconds for a test, or five times what it takes unchanged: running longer counts as noticed


def source(mutant, root=ROOT):
    return root / mutant.file


def faults(mutant):
    """What is wrong with an entry of the list, in words."""
    path = source(mutant)
    if not path.is_file():
        yield f'{mutant.file} does not exist'
        return
    text = path.read_text()
    for old, new in mutant.changes:
        if text.count(old) != 1:
            yield f'occurs {text.count(old)} times in {mutant.file}: {old.strip()!r}'
        if old == new:
            yield f'changes nothing: {old.strip()!r}'
    if not mutant.tests:
        yield 'no test is named'
    for test in mutant.tests:
        program, patterns = test.split(': ', 1)
        for pattern in patterns.split(', '):
            if not fnmatch.filter(cases_of(program), pattern.lower()):
                yield f'no such test: {program}: {pattern}'


@functools.lru_cache(None)
def cases_of(program):
    """The test cases of a program."""
    folder = ROOT / 'tests' / program
    if program == 'capi':
        return re.findall(r'\{"([\w-]+)", test_\w+\}', (folder / 'main.c').read_text())
    text = ''.join(path.read_text() for path in folder.glob('*.cpp'))
    return [name.lower() for name in re.findall(r'^TEST_CASE\("(.*)"\)', text, re.M)]


def check(chosen):
    seen, wrong = set(), 0
    for mutant in chosen:
        found = list(faults(mutant)) + (['the name is taken'] if mutant.name in seen else [])
        seen.add(mutant.name)
        wrong += bool(found)
        for fault in found:
            print(f'{mutant.name}: {fault}')
    print(f'{len(chosen)} mutants, {wrong} no longer apply')
    return wrong


class Workspace:
    """A folder with a copy of the sources, `tree`, and its build, `build`."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.tree, self.build = self.folder / 'tree', self.folder / 'build'

    def copy_sources(self):
        """Brings the tree up to date, and touches nothing that is: a build made before is of use."""
        listed = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=ROOT,
                                stdout=subprocess.PIPE, check=True).stdout.decode().split('\0')
        files = {name for name in listed if name and (ROOT / name).is_file()}
        for name in files:
            to = self.tree / name
            to.parent.mkdir(parents=True, exist_ok=True)
            if not to.exists() or to.read_bytes() != (ROOT / name).read_bytes():
                shutil.copy(ROOT / name, to)
        for path in [p for p in self.tree.rglob('*') if p.is_file() and str(p.relative_to(self.tree)) not in files]:
            path.unlink()

    def configure(self):
        if (self.build / 'build.ninja').exists():
            return '', None
        return run(['meson', 'setup', self.build, self.tree, '-Dapps=disabled', '-Ddefault_library=shared'], self.tree)

    def ninja(self, jobs=1):
        return run(['ninja', f'-j{jobs}', *TARGETS], self.build)

    def test(self, test, limit=None):
        program, pattern = test.split(': ', 1)
        arguments = ['--abort-after=1', '--test-case=' + pattern.replace(', ', ',')]
        if program == 'capi':
            arguments = [pattern]
        return run([f'tests/{program}/test-{program}', *arguments], self.build, limit)

    def copy_from(self, other):
        """Makes the build that of `other`, to the time of each file, so that nothing of a mutant is built again."""
        for path in list(self.build.rglob('*')):
            twin = other.build / path.relative_to(self.build)
            if path.is_file() and not path.is_symlink() and not twin.exists():
                path.unlink()
        for twin in other.build.rglob('*'):
            path = self.build / twin.relative_to(other.build)
            if not twin.is_file() or twin.is_symlink():
                continue
            a, b = path.stat() if path.exists() else None, twin.stat()
            if a is None or (a.st_mtime_ns, a.st_size) != (b.st_mtime_ns, b.st_size):
                shutil.copy2(twin, path)


def run(command, folder, limit=None):
    """Output, and None or why the command failed: 'exit status 1', 'signal 11', 'ran longer than 120 s'."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT)
        try:
            status = process.wait(limit)
            why = None if status == 0 else f'exit status {status}' if status > 0 else f'signal {-status}'
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            why = f'ran longer than {limit} s'
        output.seek(0)
        return output.read().decode(errors='replace'), why


def noticed_by(output):
    """The first failing case that doctest or test-capi names."""
    lines = output.splitlines()
    for i, line in enumerate(lines):
        if line.startswith('TEST CASE:') and any('ERROR' in after for after in lines[i:i + 8]):
            return line[10:].strip()
    return next((line.strip()[:100] for line in lines if 'failed' in line or 'ERROR' in line), '')


def try_mutant(mutant, space, pristine, limits):
    """One line of the report; whether the mutant was noticed; the end of what failed."""
    path, start = source(mutant, space.tree), time.time()
    before, text = path.stat(), path.read_text()
    changed = text
    for old, new in mutant.changes:
        changed = changed.replace(old, new)
    try:
        path.write_text(changed)
        output, why = space.ninja()
        built = time.time() - start
        if why is not None:
            return 'does not build', False, '\n'.join(output.splitlines()[-20:])
        for test in mutant.tests:
            output, why = space.test(test, limits[test])
            if why is not None:
                seconds = f'{built:.0f} + {time.time() - start - built:.0f} s'
                return f'killed ({seconds}) by {test!r}, {why}: {noticed_by(output)}', True, ''
        return f'SURVIVED ({built:.0f} + {time.time() - start - built:.0f} s) {", ".join(mutant.tests)}', False, ''
    finally:
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        space.copy_from(pristine)


def limits_of(pristine, chosen):
    """How long each test may take. None may fail while nothing is broken."""
    limits = {}
    for test in sorted({test for mutant in chosen for test in mutant.tests}):
        start = time.time()
        output, why = pristine.test(test)
        if why is not None:
            sys.exit(f'{output}\n{test!r} fails although nothing is broken: {why}')
        limits[test] = max(LEAST_LIMIT, int(5 * (time.time() - start)))
    return limits


def go(chosen, folder, options):
    pristine = Workspace(folder)
    pristine.copy_sources()
    print(f'building in {folder}', flush=True)
    for step in (pristine.configure, lambda: pristine.ninja(options.jobs)):
        output, why = step()
        if why is not None:
            sys.exit(f'{output}\nthe sources do not build')
    limits = limits_of(pristine, chosen)
    spaces, counts, stop, printing = queue.Queue(), {True: 0, False: 0}, threading.Event(), threading.Lock()
    for i in range(options.jobs):
        space = Workspace(pristine.folder / f'worker{i}')
        shutil.rmtree(space.folder, ignore_errors=True)
        for name in ('tree', 'build'):
            shutil.copytree(pristine.folder / name, space.folder / name, symlinks=True)
        spaces.put(space)

    def one(mutant):
        if stop.is_set():
            return
        space = spaces.get()
        try:
            line, killed, tail = try_mutant(mutant, space, pristine, limits)
        finally:
            spaces.put(space)
        with printing:
            counts[killed] += 1
            print(f'{mutant.name}: {line}' + ('' if killed else f'\n    {mutant.broken}\n{tail}'.rstrip()), flush=True)
        if not killed and not options.keep_going:
            stop.set()

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, chosen))
    print(f'{counts[True]} killed, {counts[False]} not, {len(chosen) - sum(counts.values())} not tried')
    return counts[False]


def main():
    parser = argparse.ArgumentParser(description='Breaks one thing at a time and runs the tests that should notice.')
    parser.add_argument('names', nargs='*', help='mutants, * and ? allowed; all if none is named')
    parser.add_argument('--file', metavar='PATTERN', help='only mutants of these files, for instance lib/api/*')
    parser.add_argument('--list', action='store_true', help='say what each chosen mutant breaks, and do nothing')
    parser.add_argument('--check', action='store_true', help='only check that the list fits the sources and the tests')
    parser.add_argument('--jobs', type=int, default=1, help='mutants at a time, each in its own build (default 1)')
    parser.add_argument('--build', metavar='FOLDER', help='build there, and keep it for the next time')
    parser.add_argument('--keep-going', action='store_true', help='go on after a mutant that no test noticed')
    options = parser.parse_args()

    unknown = [name for name in options.names if not fnmatch.filter([m.name for m in mutants.MUTANTS], name)]
    if unknown:
        parser.error(f'no mutant is named {", ".join(unknown)}')
    chosen = [m for m in mutants.MUTANTS if not options.names or any(fnmatch.fnmatch(m.name, n) for n in options.names)]
    chosen = [m for m in chosen if options.file is None or fnmatch.fnmatch(m.file, options.file)]
    if options.list:
        for mutant in chosen:
            print(f'{mutant.name}: {mutant.broken}\n    {mutant.file}; {"; ".join(mutant.tests)}')
        return 0
    wrong = check(chosen)
    if options.check or wrong:
        return 1 if wrong else 0
    if options.build is not None:
        return 1 if go(chosen, pathlib.Path(options.build).resolve(), options) else 0
    with tempfile.TemporaryDirectory(prefix='zeta-mutation-') as folder:
        return 1 if go(chosen, folder, options) else 0


if __name__ == '__main__':
    sys.exit(main())
