"""GGUF, version 3: as much of it as one model of this shape needs."""
import struct
from pathlib import Path

import numpy as np

import quants

ALIGNMENT = 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ONE = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind: int, of) -> bytes:
    """kind is a type, or [type] of an array."""
    if isinstance(kind, list):
        return struct.pack("<IQ", kind[0], len(of)) + b"".join(value(kind[0], one) for one in of)
    return text(of) if kind == STRING else struct.pack(ONE[kind], of)


def write(path: Path, keys: dict[str, tuple], tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """keys: name → (type, value). tensors: name → (kind, shape with the outputs first, bytes)."""
    head = struct.pack("<IIQQ", 0x46554747, 3, len(tensors), len(keys))
    for name, (kind, of) in keys.items():
        head += text(name) + struct.pack("<I", ARRAY if isinstance(kind, list) else kind) + value(kind, of)
    data = b""
    for name, (kind, shape, bytes_) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), quants.TYPES[kind], len(data))
        data += bytes_ + bytes(-len(bytes_) % ALIGNMENT)
    path.write_bytes(head + bytes(-len(head) % ALIGNMENT) + data)


class Reader:
    """keys: name → value; tensors: name → float32 array with the outputs first; kinds: name → type."""

    def __init__(self, path: Path):
        self.data, self.at = path.read_bytes(), 0
        _, version, tensor_count, key_count = self.take("<IIQQ")
        assert version == 3, version
        self.keys = {}
        for _ in range(key_count):
            name = self.text()
            self.keys[name] = self.value(self.take("<I")[0])
        found = []
        for _ in range(tensor_count):
            name, rank = self.text(), self.take("<I")[0]
            shape = self.take(f"<{rank}Q")[::-1]
            found.append((name, shape, *self.take("<IQ")))
        begin = self.at + -self.at % ALIGNMENT
        self.tensors, self.kinds = {}, {}
        for name, shape, kind, offset in found:
            self.kinds[name] = next(key for key, n in quants.TYPES.items() if n == kind)
            size = int(np.prod(shape))
            count = 4 * size if kind == 0 else size // quants.BLOCK * quants.BYTES[self.kinds[name]]
            self.tensors[name] = quants.unpack(self.kinds[name], self.data[begin + offset : begin + offset + count], shape)

    def take(self, form: str) -> tuple:
        found = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return found

    def text(self) -> str:
        size = self.take("<Q")[0]
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def value(self, kind: int):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            inner, count = self.take("<IQ")
            return [self.value(inner) for _ in range(count)]
        return self.take(ONE[kind])[0]
