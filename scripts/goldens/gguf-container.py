"""Writes test/fixtures/gguf/ with llama.cpp's own Python writer: one file with a tensor of every type, and a model split into three files.
gguf-container.mjs then lets a second implementation read them.

  pip install --target node_modules/.cache/goldens/python gguf==0.19.0 numpy
  PYTHONPATH=node_modules/.cache/goldens/python python3 scripts/goldens/gguf-container.py
  npm install --prefix node_modules/.cache/goldens --ignore-scripts --no-save @huggingface/gguf@0.4.6
  node scripts/goldens/gguf-container.mjs && npx biome check --write test/fixtures/gguf
"""

import json
import pathlib

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

folder = pathlib.Path("test/fixtures/gguf")
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(4)


def keys(writer):
    writer.add_uint8("a.uint8", 200)
    writer.add_int8("a.int8", -100)
    writer.add_uint16("a.uint16", 60000)
    writer.add_int16("a.int16", -30000)
    writer.add_uint32("a.uint32", 4000000000)
    writer.add_int32("a.int32", -2000000000)
    writer.add_float32("a.float32", 0.1)
    writer.add_uint64("a.uint64", 2**64 - 1)
    writer.add_uint64("a.uint64.small", 2**53 - 1)
    writer.add_int64("a.int64", -(2**60))
    writer.add_float64("a.float64", 0.1)
    writer.add_bool("a.bool", True)
    writer.add_string("a.string", "ß 漢 🙂")
    writer.add_string("a.empty", "")
    writer.add_array("tokens", ["<s>", "", "▁the", "\n"])
    writer.add_array("scores", [0.5, -1.25, 3.0])
    writer.add_array("ids", [1, -2, 3])
    writer.add_array("flags", [True, False])
    writer.add_key_value("bytes", bytes(range(256)) * 5, GGUFValueType.ARRAY, GGUFValueType.UINT8)


# Q8_1 is left out: gguf-py gives it 40 bytes, ggml's struct has 36; no file has it.
types = [type for type in GGMLQuantizationType if type in GGML_QUANT_SIZES and type.name != "Q8_1"]
writer = gguf.GGUFWriter(folder / "types.gguf", "test")
keys(writer)
for type in types:
    elements, size = GGML_QUANT_SIZES[type]
    rows = random.integers(0, 256, (2, size * 2 if elements == 1 else size), dtype=np.uint8)
    writer.add_tensor(f"blk.0.{type.name}.weight", rows, raw_dtype=type)
writer.add_tensor("three.axes", random.standard_normal((2, 3, 5)).astype(np.float32))
writer.add_tensor("one.axis", random.standard_normal(7).astype(np.float16))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

writer = gguf.GGUFWriter(folder / "split.gguf", "test", split_max_tensors=2)
for i in range(5):
    writer.add_tensor(f"t{i}", np.full((2, 3), i, dtype=np.float32))
writer.write_header_to_file(folder / "split.gguf")
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

# Types, their numbers and sizes, as this library lists them.
sizes = {type.name: [int(type), *GGML_QUANT_SIZES[type]] for type in types}
(folder / "sizes.json").write_text(json.dumps(sizes) + "\n")
