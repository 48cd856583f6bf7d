# SPDX-License-Identifier: Apache-2.0
"""XXH3, 64 bits, seed 0, in plain Python, for data of 8 bytes or more. Slow: about a megabyte a second."""
import struct

MASK = (1 << 64) - 1
PRIMES_32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
PRIMES_64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
SECRET = bytes.fromhex(
    'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248e'
    'e03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d'
    '8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc'
    '8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e')
STRIPES = (len(SECRET) - 64) // 8  # of 64 bytes between two scrambles


def word(data, at):
    return struct.unpack_from('<Q', data, at)[0]


def folded(a, b):
    product = a * b
    return (product & MASK) ^ (product >> 64)


def avalanche(x):
    x ^= x >> 37
    x = x * 0x165667919E3779F9 & MASK
    return x ^ x >> 32


def mixed(data, at, secret):
    return folded(word(data, at) ^ word(SECRET, secret), word(data, at + 8) ^ word(SECRET, secret + 8))


def short(data):
    n = len(data)
    if n == 8:
        first, second = struct.unpack('<II', data)
        x = (second | first << 32) ^ word(SECRET, 8) ^ word(SECRET, 16)
        x ^= ((x << 49 | x >> 15) ^ (x << 24 | x >> 40)) & MASK
        x = x * 0x9FB21C651E98DF25 & MASK
        x = (x ^ (x >> 35) + n) * 0x9FB21C651E98DF25 & MASK
        return x ^ x >> 28
    low = word(data, 0) ^ word(SECRET, 24) ^ word(SECRET, 32)
    high = word(data, n - 8) ^ word(SECRET, 40) ^ word(SECRET, 48)
    swapped = int.from_bytes(low.to_bytes(8, 'little'), 'big')
    return avalanche(n + swapped + high + folded(low, high) & MASK)


def medium(data):
    n = len(data)
    total = n * PRIMES_64[0]
    if n <= 128:
        for pair in range((n + 31) // 32):
            total += mixed(data, 16 * pair, 32 * pair) + mixed(data, n - 16 * (pair + 1), 32 * pair + 16)
        return avalanche(total & MASK)
    total += sum(mixed(data, 16 * i, 16 * i) for i in range(8))
    total = avalanche(total & MASK)
    total += sum(mixed(data, 16 * i, 16 * (i - 8) + 3) for i in range(8, n // 16))
    return avalanche(total + mixed(data, n - 16, 136 - 17) & MASK)


def accumulate(lanes, data, at, secret):
    stripe, keys = struct.unpack_from('<8Q', data, at), struct.unpack_from('<8Q', SECRET, secret)
    for i in range(8):
        key = stripe[i] ^ keys[i]
        lanes[i ^ 1] = lanes[i ^ 1] + stripe[i] & MASK
        lanes[i] = lanes[i] + (key & 0xFFFFFFFF) * (key >> 32) & MASK


def xxh3(data):
    n = len(data)
    assert n >= 8
    if n <= 16:
        return short(data)
    if n <= 240:
        return medium(data)
    lanes = [PRIMES_32[2], *PRIMES_64[:4], PRIMES_32[1], PRIMES_64[4], PRIMES_32[0]]
    for i in range((n - 1) // 64):
        accumulate(lanes, data, 64 * i, 8 * (i % STRIPES))
        if (i + 1) % STRIPES == 0:
            for lane, key in enumerate(struct.unpack_from('<8Q', SECRET, len(SECRET) - 64)):
                lanes[lane] = (lanes[lane] ^ lanes[lane] >> 47 ^ key) * PRIMES_32[0] & MASK
    accumulate(lanes, data, n - 64, len(SECRET) - 64 - 7)
    total = n * PRIMES_64[0]
    for i in range(0, 8, 2):
        total += folded(lanes[i] ^ word(SECRET, 11 + 8 * i), lanes[i + 1] ^ word(SECRET, 19 + 8 * i))
    return avalanche(total & MASK)
