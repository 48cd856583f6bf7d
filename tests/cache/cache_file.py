# SPDX-License-Identifier: Apache-2.0
"""Reads a saved cache as docs/cache-format.md describes it, with Python's standard library alone.
As a program it prints what a file holds: cache_file.py FILE"""
import struct
import sys

from xxh3 import xxh3

MAGIC = bytes.fromhex('895A4554410D0A1A')
FIELDS = ('B', 'H', 'G', 'dk', 'dv', 'K', 'W', 'select', 'score', 'causal', 'mean', 'C', 'w', 'first', 'grid')
TYPES = {0: ('f32', 4), 1: ('bf16', 2), 2: ('f16', 2), 5: ('i8', 1)}


def bf16(bits):
    return struct.unpack('<f', struct.pack('<I', bits << 16))[0]


class Cursor:
    """Walks through the bytes and checks where each part ends."""

    def __init__(self, data):
        self.data, self.at, self.begin = data, 0, 0

    def take(self, kind, count):
        numbers = struct.unpack_from(f'<{count}{kind}', self.data, self.at)
        self.at += struct.calcsize(f'<{count}{kind}')
        return list(numbers)

    def pad(self):
        while self.at % 8:
            assert self.data[self.at] == 0, 'padding is not zero'
            self.at += 1

    def end_part(self):
        self.pad()
        checksum = xxh3(self.data[self.begin:self.at])
        self.begin = self.at
        assert self.take('Q', 1) == [checksum], f'the checksum at byte {self.begin} does not fit'


def read_head(cursor):
    assert bytes(cursor.take('B', 8)) == MAGIC, 'not a zeta cache'
    version, kind = cursor.take('I', 2)
    assert version == 1, f'version {version}'
    file_bytes, head_bytes = cursor.take('Q', 2)
    assert file_bytes == len(cursor.data), f'{len(cursor.data)} bytes instead of {file_bytes}'
    head = dict(zip(FIELDS, cursor.take('Q', len(FIELDS))))
    head['type'] = TYPES[kind][0]
    head['gamma'] = cursor.take('f', head['H'])
    for name in ('lo', 'hi') if head['grid'] else ('scale',):
        head[name] = cursor.take('f', head['G'] * head['dk'])
    cursor.pad()
    head['sequences'] = [dict(zip(('length', 'first', 'evicted'), cursor.take('Q', 3))) for _ in range(head['B'])]
    cursor.end_part()
    assert cursor.at == head_bytes, f'the head has {cursor.at} bytes, not {head_bytes}'
    return head


def read_part(cursor, head, rows):
    dk, dv, part = head['dk'], head['dv'], {}
    if head['mean']:
        part['blocks'], part['inside'] = cursor.take('d', dk + dv), cursor.take('d', dk + dv)
    part['keys'] = cursor.take('f', rows * dk)
    if head['type'] == 'i8':
        part['scales'] = cursor.take('f', rows)
        part['values'] = cursor.take('b', rows * dv)
    elif head['type'] == 'bf16':
        part['values'] = [bf16(bits) for bits in cursor.take('H', rows * dv)]
    else:
        part['values'] = cursor.take('f' if head['type'] == 'f32' else 'e', rows * dv)
    cursor.end_part()
    return part


def read(data):
    """The head, and the parts by (sequence, key head)."""
    cursor = Cursor(data)
    head, parts = read_head(cursor), {}
    for b, sequence in enumerate(head['sequences']):
        for g in range(head['G']):
            parts[b, g] = read_part(cursor, head, sequence['length'] - sequence['evicted'])
    assert cursor.at == len(data), 'bytes after the end'
    return head, parts


if __name__ == '__main__':
    with open(sys.argv[1], 'rb') as opened:
        the_head, the_parts = read(opened.read())
    for name, value in the_head.items():
        print(name, value)
    for place, the_part in the_parts.items():
        print('sequence', place[0], 'key head', place[1])
        for name, value in the_part.items():
            print('   ', name, value)
