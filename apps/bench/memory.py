# SPDX-License-Identifier: Apache-2.0
"""Inputs and buffers of timed calls, shared by the cases that need the same ones.

Calls are timed one after the other, so two with outputs of one size write to the same memory; what backward reads is kept
apart by its key. Memory is anonymous and page-aligned, as malloc gives it for large blocks. What no case of the present group
uses goes when the limit is reached, the least recently used first.
"""
import ctypes
import mmap
import os

from binding import BF16, F32


class Memory:
    def __init__(self, helper, limit=None):
        self.helper = helper
        self.limit = limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        self.blocks = {}  # key -> (mapping, holder of its address, bytes)
        self.used = set()  # by the present group

    def next_group(self):
        self.used = set()

    def block(self, key, size, fill=None):
        """The address of `size` bytes known by `key`; `fill(address)` writes them when they are new."""
        key = (key, size)
        self.used.add(key)
        if key in self.blocks:
            self.blocks[key] = self.blocks.pop(key)
            return ctypes.addressof(self.blocks[key][1])
        self._make_room(size)
        mapping = mmap.mmap(-1, max(size, 1))
        holder = ctypes.c_char.from_buffer(mapping)
        self.blocks[key] = (mapping, holder, size)
        address = ctypes.addressof(holder)
        if fill:
            fill(address)
        else:
            ctypes.memset(address, 0, size)  # so that no timed call meets a page for the first time
        return address

    def _make_room(self, size):
        held = sum(block[2] for block in self.blocks.values())
        for key in list(self.blocks):
            if held + size <= self.limit:
                break
            if key not in self.used:
                held -= self.blocks.pop(key)[2]

    def _rounded(self, key, count, dtype, fill):
        """`count` numbers written by fill(address) as float32, in `dtype`."""
        if dtype == F32:
            return self.block(key, 4 * count, fill)
        assert dtype == BF16

        def narrow(address):
            self.helper.bench_narrow(self.block(key, 4 * count, fill), address, count)

        return self.block(key + ("bf16",), 2 * count, narrow)

    def points(self, kind, heads, n, dk, dtype):
        """Addresses of q and k, [heads, n, dk] each."""
        count = heads * n * dk

        def both(address):
            self._done(self.helper.bench_fill_points(kind.encode(), heads, heads, n, n, dk, address, address + 4 * count))

        address = self._rounded(("points", kind, heads, n, dk), 2 * count, dtype, both)
        return address, address + count * (4 if dtype == F32 else 2)

    def values(self, heads, n, dv, dtype):
        return self._rounded(("values", heads, n, dv), heads * n * dv, dtype,
                             lambda address: self._done(self.helper.bench_fill_values(heads, n, dv, address)))

    def gradient(self, heads, n, dv, dtype):
        return self._rounded(("gradient", heads, n, dv), heads * n * dv, dtype,
                             lambda address: self._done(self.helper.bench_fill_gradient(heads, n, dv, address)))

    @staticmethod
    def _done(status):
        if status != 0:
            raise MemoryError("no memory for the inputs")
