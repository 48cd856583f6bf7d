# SPDX-License-Identifier: Apache-2.0
"""The golden files against docs/cache-format.md, without zeta: they are read by cache_file.py, every number in them is computed
again from the seeds they were made of, and the document's example has the bytes of the file it names.
test_format.py GOLDEN_FOLDER DOCUMENT"""
import pathlib
import re
import struct
import sys

import cache_file

MASK = (1 << 64) - 1
# File: what golden.cpp made it with. Appended rows of the first sequence and of the others; evicted rows of the first.
GOLDEN = {
    'int8-evicted': dict(
        rows=(601, 5), evicted=598, type='i8', B=2, H=2, G=1, dk=2, dv=3, K=4, W=4, select=0, score=0, causal=1, mean=1, C=1,
        w=1, first=0, grid=0, gamma=[1, 1], scale=[1, 1]),
    'bfloat16-range': dict(
        rows=(7,), evicted=0, type='bf16', B=1, H=2, G=2, dk=3, dv=5, K=4, W=4, select=1, score=1, causal=1, mean=0, C=1, w=2,
        first=1, grid=1, gamma=[0.5, 0.75], lo=[-1] * 6, hi=[1] * 6),
    'float16-whole': dict(
        rows=(6, 5), evicted=0, type='f16', B=2, H=2, G=1, dk=1, dv=2, K=4, W=8, select=0, score=0, causal=0, mean=1, C=1, w=0,
        first=0, grid=0, gamma=[1, 1], scale=[1]),
    'float32': dict(
        rows=(9,), evicted=2, type='f32', B=1, H=2, G=2, dk=3, dv=5, K=4, W=4, select=0, score=0, causal=1, mean=1, C=1, w=1,
        first=0, grid=0, gamma=[1, 1], scale=[1] * 6),
}


def scrambled(x):
    x = x + 0x9E3779B97F4A7C15 & MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def noise(seed, i):
    return ((scrambled(scrambled(seed) + i & MASK) >> 40) - (1 << 23)) / (1 << 23)


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


def rounded(x, kind):
    """To the nearest number of that type, ties to even."""
    if kind == 'f16':
        return struct.unpack('<e', struct.pack('<e', x))[0]
    if kind == 'bf16':
        bits, = struct.unpack('<I', struct.pack('<f', x))
        return cache_file.bf16(bits + 0x7FFF + (bits >> 16 & 1) >> 16)
    return x


def stored(row, kind):
    """What a file holds of a row of values, and the values it stands for."""
    if kind != 'i8':
        values = [rounded(x, kind) for x in row]
        return None, values, values
    scale = f32(max(map(abs, row)) / 127)
    steps = [round(x / scale) if scale else 0 for x in row]
    return scale, steps, [f32(scale * step) for step in steps]


def sums(rows):
    """Float64 sums of whole blocks and inside the last one."""
    channels = len(rows[0])
    block = 512 * ((channels + 4095) // 4096)
    before, inside = [0.0] * channels, [0.0] * channels
    for i, row in enumerate(rows):
        if i and i % block == 0:
            before, inside = [a + b for a, b in zip(before, inside)], [0.0] * channels
        inside = [a + x for a, x in zip(inside, row)]
    return before, inside


def check_part(part, about, b, g, evicted):
    appended, rows = about['rows'][0], about['rows'][min(b, 1)]
    place = (b * about['G'] + g) * appended  # rows of the tensor that was appended, [B, G, appended, ...]
    keys = [[noise(1, (place + i) * about['dk'] + e) for e in range(about['dk'])] for i in range(rows)]
    values = [[noise(2, (place + i) * about['dv'] + c) for c in range(about['dv'])] for i in range(rows)]
    scales, kept, meant = zip(*(stored(row, about['type']) for row in values))
    assert part['keys'] == sum(keys[evicted:], [])
    assert part['values'] == sum(kept[evicted:], [])
    assert about['type'] != 'i8' or part['scales'] == list(scales[evicted:])
    if not about['mean']:
        assert 'blocks' not in part
    elif evicted == 0:
        assert part['blocks'] == part['inside'] == [0.0] * (about['dk'] + about['dv'])
    else:
        of_keys, of_values = sums(keys[:evicted]), sums(list(meant[:evicted]))
        assert part['blocks'] == of_keys[0] + of_values[0]
        assert part['inside'] == of_keys[1] + of_values[1]


def check_golden(path, about):
    head, parts = cache_file.read(path.read_bytes())
    for name, value in about.items():
        if name not in ('rows', 'evicted'):
            assert head[name] == value, (name, head[name], value)
    for b in range(about['B']):
        evicted = about['evicted'] if b == 0 else 0
        length = about['rows'][min(b, 1)]
        assert head['sequences'][b] == dict(length=length, first=max(evicted, about['first']), evicted=evicted)
        for g in range(about['G']):
            check_part(parts[b, g], about, b, g, evicted)


def check_example(document, folder):
    """Lines of offset and bytes: `00a0  3f 80 ...`."""
    example = document.read_text().split('## Example')[1]
    name = re.search(r'`tests/cache/golden/(\S+)`', example)[1]
    data, at = (folder / name).read_bytes(), 0
    for offset, line in re.findall(r'^([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)', example, re.MULTILINE):
        shown = bytes.fromhex(line)
        assert int(offset, 16) == at and data[at:at + len(shown)] == shown, f'{document}: the line at {offset}'
        at += len(shown)
    assert at == len(data), f'{document} shows {at} of {len(data)} bytes'


def main():
    folder, document = map(pathlib.Path, sys.argv[1:])
    assert sorted(path.stem for path in folder.glob('*.zeta')) == sorted(GOLDEN)
    for name, about in GOLDEN.items():
        check_golden(folder / f'{name}.zeta', about)
    check_example(document, folder)


main()
