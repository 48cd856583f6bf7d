# SPDX-License-Identifier: Apache-2.0
# Reads meson's testlog.json files, prints the ends of what failed, and as the last line "N passed, N failed"; exits 1 on
# any failure, a missing log and a run without tests included.
import json
import pathlib
import sys

passed, failed = 0, 0
for log in map(pathlib.Path, sys.argv[1:]):
    tests = [json.loads(line) for line in log.read_text().splitlines() if line.strip()] if log.exists() else []
    if all(test['result'] == 'SKIP' for test in tests):
        print(f'no test ran: {log}')
        failed += 1
    for test in tests:
        if test['result'] == 'SKIP':
            print(f"skipped: {test['name']}")
            continue
        if test['result'] in ('OK', 'EXPECTEDFAIL'):
            passed += 1
            continue
        failed += 1
        print(f"--- {test['name']}: {test['result']}, exit code {test.get('returncode')}")
        for stream in ('stdout', 'stderr'):
            print('\n'.join(test.get(stream, '').splitlines()[-60:]))
print(f'{passed} passed, {failed} failed')
sys.exit(1 if failed else 0)
