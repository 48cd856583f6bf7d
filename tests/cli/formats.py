# SPDX-License-Identifier: Apache-2.0
"""Tensors of plain Python numbers and the bytes of .npy and .safetensors files.

A tensor is a pair (shape, flat list). Float lists hold values that float32 represents exactly after f32().
"""

import json
import math
import struct


def f32(x):
    """x rounded to float32, as a Python float. One operation on float32 values, then f32, is rounded correctly."""
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def f16(x):
    try:
        return struct.unpack("<e", struct.pack("<e", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def bf16_bits(x):
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def bf16(x):
    return struct.unpack("<f", struct.pack("<I", bf16_bits(x) << 16))[0]


ROUND = {"f32": f32, "bf16": bf16, "f16": f16}


def count(shape):
    return math.prod(shape)


def npy_header(text, version=(1, 0), length=None):
    """A .npy prefix around the given dictionary text; `length` overrides the stated header length."""
    small = version[0] == 1
    start = 10 if small else 12
    text = text + " " * (63 - (start + len(text)) % 64) + "\n"
    size = struct.pack("<H" if small else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1")


def npy_dict(descr, shape, fortran=False):
    inner = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    return "{'descr': %r, 'fortran_order': %r, 'shape': (%s), }" % (descr, fortran, inner)


def npy(shape, values, descr="<f4", version=(1, 0)):
    code = {"<f4": "<%df", "<f2": "<%de", "<f8": "<%dd", ">f4": ">%df", "<i4": "<%di"}[descr]
    return npy_header(npy_dict(descr, shape), version) + struct.pack(code % len(values), *values)


def read_npy(path):
    """(descr, shape, values) of a version 1 file as the program writes it."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length = struct.unpack("<H", data[8:10])[0]
    assert (10 + length) % 64 == 0 and data[9 + length : 10 + length] == b"\n"
    header = eval(data[10 : 10 + length].decode("latin1"), {"__builtins__": {}})  # as NumPy's own reader understands it
    assert header["fortran_order"] is False and set(header) == {"descr", "fortran_order", "shape"}
    code = {"<f4": "f", "<i4": "i", "<u8": "Q"}[header["descr"]]
    values = struct.unpack("<%d%s" % (count(header["shape"]), code), data[10 + length :])
    return header["descr"], list(header["shape"]), list(values)


def safetensors_raw(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors(tensors):
    """tensors: name -> (dtype, shape, values), dtype F32, BF16 or F16."""
    header, data = {"__metadata__": {"made_by": "test"}}, b""
    for name, (dtype, shape, values) in tensors.items():
        if dtype == "BF16":
            packed = struct.pack("<%dH" % len(values), *map(bf16_bits, values))
        else:
            packed = struct.pack("<%d%s" % (len(values), {"F32": "f", "F16": "e"}[dtype]), *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    return safetensors_raw(header, data)
