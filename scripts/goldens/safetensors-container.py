"""Writes test/fixtures/safetensors/: a file made by the reference implementation, and which of many headers, right and wrong, it accepts.

  pip install --target node_modules/.cache/goldens/python safetensors==0.8.0 numpy
  PYTHONPATH=node_modules/.cache/goldens/python python3 scripts/goldens/safetensors-container.py
  npx biome check --write test/fixtures/safetensors
"""

import json
import pathlib
import struct

import numpy as np
import safetensors
from safetensors.numpy import save

folder = pathlib.Path("test/fixtures/safetensors")
folder.mkdir(parents=True, exist_ok=True)
tensors = {
    "w.qweight": np.arange(12, dtype=np.int32).reshape(3, 4),
    "w.scales": np.array([[1.5, -2.0]], dtype=np.float16),
    "scalar": np.array(3.25, dtype=np.float32),
    "empty": np.zeros((0, 5), dtype=np.int64),
    "bytes": np.arange(5, dtype=np.uint8),
    "__proto__": np.array([True, False]),
    "10": np.array([1.0, 2.0]),
    "9": np.array([-1], dtype=np.int8),
}
(folder / "reference.safetensors").write_bytes(save(tensors, {"note": "ß"}))
(folder / "reference.json").write_text(
    json.dumps({name: {"shape": list(t.shape), "bytes": t.tobytes().hex()} for name, t in tensors.items()}) + "\n"
)


def entry(name='"a"', dtype='"U8"', shape="[4]", offsets="[0,4]", more=""):
    return f'{name}:{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}{more}}}'


b = entry('"b"', offsets="[4,8]")
# What, header, bytes of data, what the first eight bytes add to the header's length.
cases = [
    ("one tensor", f"{{{entry()}}}", 4, 0),
    ("no tensors", "{}", 0, 0),
    ("spaces behind", f"{{{entry()}}}   ", 4, 0),
    ("spaces before", f" {{{entry()}}}", 4, 0),
    ("line breaks within", f"{{\n{entry()}\r\n}}\t", 4, 0),
    ("a byte of 0 behind", f"{{{entry()}}}\0", 4, 0),
    ("an array", "[]", 0, 0),
    ("no JSON", "{nothing}", 0, 0),
    ("a trailing comma", f"{{{entry()},}}", 4, 0),
    ("length past the end", f"{{{entry()}}}", 4, 5),
    ("length into the data", f"{{{entry()}}}", 4, 2),
    ("length one short", f"{{{entry()}}}", 4, -1),
    ("data too short", f"{{{entry()}}}", 3, 0),
    ("data too long", f"{{{entry()}}}", 5, 0),
    ("two in order", f"{{{entry()},{b}}}", 8, 0),
    ("two listed backwards", f"{{{b},{entry()}}}", 8, 0),
    ("a hole", "{" + entry() + "," + entry('"b"', offsets="[5,9]") + "}", 9, 0),
    ("a hole before", f"{{{b}}}", 8, 0),
    ("an overlap", "{" + entry() + "," + entry('"b"', offsets="[3,7]") + "}", 7, 0),
    ("the same bytes", "{" + entry() + "," + entry('"b"') + "}", 4, 0),
    ("duplicate names", f"{{{entry()},{entry()}}}", 4, 0),
    ("duplicate member", "{" + entry(more=',"dtype":"U8"') + "}", 4, 0),
    ("duplicate metadata", '{"__metadata__":{"x":"1"},"__metadata__":{"x":"1"}}', 0, 0),
    ("offsets backwards", "{" + entry(offsets="[4,0]") + "}", 4, 0),
    ("negative offset", "{" + entry(offsets="[-4,0]") + "}", 4, 0),
    ("offset with a fraction", "{" + entry(offsets="[0,4.5]") + "}", 4, 0),
    ("offset as text", "{" + entry(offsets='[0,"4"]') + "}", 4, 0),
    ("three offsets", "{" + entry(offsets="[0,4,4]") + "}", 4, 0),
    ("one offset", "{" + entry(offsets="[4]") + "}", 4, 0),
    ("offset of 2^64", "{" + entry(offsets="[0,18446744073709551616]") + "}", 4, 0),
    ("shape too large", "{" + entry(shape="[5]") + "}", 4, 0),
    ("shape too small", "{" + entry(shape="[3]") + "}", 4, 0),
    ("negative dimensions", "{" + entry(shape="[-2,-2]") + "}", 4, 0),
    ("dimension with a fraction", "{" + entry(shape="[0.5,8]") + "}", 4, 0),
    ("dimension with a point", "{" + entry(shape="[4.0]") + "}", 4, 0),
    ("dimensions that overflow", "{" + entry(shape="[4294967296,4294967296,4294967297]") + "}", 4, 0),
    ("dimension of null", "{" + entry(shape="[null]") + "}", 4, 0),
    ("shape as a number", "{" + entry(shape="4") + "}", 4, 0),
    ("shape of nothing", "{" + entry(shape="[]", offsets="[0,1]") + "}", 1, 0),
    ("dimension of 0", "{" + entry(shape="[0,9]", offsets="[0,0]") + "}", 0, 0),
    ("unknown dtype", "{" + entry(dtype='"U4"') + "}", 4, 0),
    ("dtype as a number", "{" + entry(dtype="8") + "}", 4, 0),
    ("F4", "{" + entry(dtype='"F4"', shape="[8]") + "}", 4, 0),
    ("F4 of half a byte", "{" + entry(dtype='"F4"', shape="[7]") + "}", 4, 0),
    ("F6_E2M3", "{" + entry(dtype='"F6_E2M3"', shape="[4]", offsets="[0,3]") + "}", 3, 0),
    ("F6_E3M2 of odd bits", "{" + entry(dtype='"F6_E3M2"', shape="[5]", offsets="[0,4]") + "}", 4, 0),
    ("F8_E8M0", "{" + entry(dtype='"F8_E8M0"') + "}", 4, 0),
    ("C64", "{" + entry(dtype='"C64"', shape="[1]", offsets="[0,8]") + "}", 8, 0),
    ("no dtype", '{"a":{"shape":[4],"data_offsets":[0,4]}}', 4, 0),
    ("no shape", '{"a":{"dtype":"U8","data_offsets":[0,4]}}', 4, 0),
    ("no offsets", '{"a":{"dtype":"U8","shape":[4]}}', 4, 0),
    ("a tensor that is a number", '{"a":4}', 4, 0),
    ("a member more", "{" + entry(more=',"more":[1]') + "}", 4, 0),
    ("metadata", '{"__metadata__":{"format":"pt"},' + entry() + "}", 4, 0),
    ("metadata of numbers", '{"__metadata__":{"x":1}}', 0, 0),
    ("metadata in levels", '{"__metadata__":{"x":{}}}', 0, 0),
    ("metadata as text", '{"__metadata__":"x"}', 0, 0),
    ("an empty name", "{" + entry('""') + "}", 4, 0),
    ("an escaped name", "{" + entry('"\\u0061\\n"') + "}", 4, 0),
    ("half a surrogate", "{" + entry('"\\ud800"') + "}", 4, 0),
    ("a control character", "{" + entry('"a\n"') + "}", 4, 0),
    ("deep nesting", '{"a":' + "[" * 200 + "]" * 200 + "}", 0, 0),
]
verdicts = []
for what, header, data, wrong in cases:
    text = header.encode()
    file = struct.pack("<Q", len(text) + wrong) + text + bytes(data)
    try:
        safetensors.deserialize(file)
        accepted = True
    except safetensors.SafetensorError:
        accepted = False
    verdicts.append({"what": what, "file": file.hex(), "accepted": accepted})
lines = ",\n".join(json.dumps(verdict) for verdict in verdicts)
(folder / "verdicts.json").write_text(f"[\n{lines}\n]\n")
