"""Writes GGUF v3 files with float32 tensors (the format's specification: ggml's docs/gguf.md)."""
import struct

import numpy

ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32 = 0


def _string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value):
    """A value's type number and bytes."""
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return (UINT32, struct.pack("<I", value)) if value >= 0 else (INT32, struct.pack("<i", value))
    if isinstance(value, float):
        return FLOAT32, struct.pack("<f", value)
    if isinstance(value, (str, bytes)):
        return STRING, _string(value)
    items = [_value(item) for item in value]
    if len({kind for kind, _ in items}) != 1:
        raise ValueError(f"a list of one type was expected: {value}")
    return ARRAY, struct.pack("<IQ", items[0][0], len(items)) + b"".join(data for _, data in items)


def write(path, keys, tensors):
    """keys: name -> bool, int, float, str or a list of one of them; tensors: name -> array, whose last axis is GGUF's first.

    Of a key with two dots in a row, as "apertus..xielu.beta", the part after them is the key: one without a prefix.
    """
    head, data = b"", b""
    for name, value in keys.items():
        kind, stored = _value(value)
        head += _string(name.rpartition("..")[2]) + struct.pack("<I", kind) + stored
    for name, array in tensors.items():
        array = numpy.ascontiguousarray(array, dtype="<f4")
        shape = array.shape[::-1]
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F32, len(data))
        data += array.tobytes()
        data += bytes(-len(data) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + head
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT) + data)
