"""Copies of GGUF files with other metadata."""
import io
import struct

PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def skip(file, kind):
    """Moves past a value."""
    if kind == STRING:
        file.seek(struct.unpack("<Q", file.read(8))[0], 1)
    elif kind == ARRAY:
        kind, count = struct.unpack("<IQ", file.read(12))
        for _ in range(count):
            skip(file, kind)
    else:
        file.seek(struct.calcsize("<" + PLAIN[kind]), 1)


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def encoded(value):
    """A value with its kind: texts, bools, whole numbers (u32), floats, and lists of one kind."""
    if isinstance(value, list):
        items = [encoded(each) for each in value]
        return struct.pack("<I", ARRAY) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(i[4:] for i in items)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    return struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)


def with_keys(source, target, keys):
    """Copies the GGUF file `source` to `target`, where `keys` hold instead of what it says. Returns `target`."""
    file = io.BytesIO(source.read_bytes())
    magic, version, tensors, count = struct.unpack("<4sIQQ", file.read(24))
    assert magic == b"GGUF"
    pairs, alignment = [], 32
    for _ in range(count):
        begin = file.tell()
        name = file.read(struct.unpack("<Q", file.read(8))[0]).decode()
        kind = struct.unpack("<I", file.read(4))[0]
        at = file.tell()
        skip(file, kind)
        if name == "general.alignment":
            alignment = struct.unpack("<I", file.getbuffer()[at:at + 4])[0]
        if name not in keys:
            pairs.append(bytes(file.getbuffer()[begin:file.tell()]))
    begin = file.tell()
    for _ in range(tensors):
        skip(file, STRING)
        dimensions = struct.unpack("<I", file.read(4))[0]
        file.seek(8 * dimensions + 12, 1)
    directory = bytes(file.getbuffer()[begin:file.tell()])
    data = bytes(file.getbuffer()[-(-file.tell() // alignment) * alignment:])
    pairs += [text(name) + encoded(value) for name, value in keys.items()]
    head = struct.pack("<4sIQQ", magic, version, tensors, len(pairs)) + b"".join(pairs) + directory
    target.write_bytes(head + b"\0" * (-len(head) % alignment) + data)
    return target


def letter_vocabulary(size):
    """Keys of a WordPiece vocabulary of `size` tokens that spells words letter by letter."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens += ["\u2581" + letter for letter in letters] + list(letters)
    tokens += [f"[unused{i}]" for i in range(size - len(tokens))]
    return {"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [2 if token == "[UNK]" else 3 if token.startswith("[") else 1 for token in tokens],
            "tokenizer.ggml.bos_token_id": 2, "tokenizer.ggml.seperator_token_id": 3}
