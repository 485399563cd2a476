# Writes test/fixtures/gguf/TYPE.bin of NVFP4, IQ1, IQ2 and IQ3: random blocks, and the numbers that gguf-py reads in them; and grids.json, hashes of
# its grids, each value as its number. gguf.mjs has the types that node-llama-cpp's llama.cpp knows; the form of the files is the same: two
# rows of 256 weights, then their float32 values.
#
#   python3 -m venv goldens && goldens/bin/pip install gguf==0.19.0
#   goldens/bin/python scripts/goldens/gguf-blocks.py
import hashlib
import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, quants

BYTES = {"NVFP4": 36, "IQ1_S": 50, "IQ1_M": 56, "IQ2_XXS": 66, "IQ2_XS": 74, "IQ2_S": 82, "IQ3_XXS": 98, "IQ3_S": 110}
random = np.random.default_rng(1)
folder = Path(__file__).parent.parent.parent / "test" / "fixtures" / "gguf"
for name, size in BYTES.items():
    count = 8 if name == "NVFP4" else 2
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    if name == "NVFP4":
        blocks[:, :4] = random.integers(0, 127, (count, 4), dtype=np.uint8)  # no NaN and no sign
    else:
        blocks[:, 55 if name == "IQ1_M" else 1] &= 0xBF  # d is finite
    weights = quants.dequantize(blocks, GGMLQuantizationType[name]).astype(np.float32)
    (folder / f"{name}.bin").write_bytes(blocks.tobytes() + weights.tobytes())

grids = {}
for name in ["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"]:
    own = getattr(quants, name)
    own.init_grid()
    numbers = np.searchsorted(np.array(own.grid_map, dtype=np.float32), own.grid.reshape(-1)).astype(np.uint8)
    grids[name.replace("IQ1_S", "IQ1")] = hashlib.sha256(numbers.tobytes()).hexdigest()
(folder / "grids.json").write_text(json.dumps(grids, indent=2) + "\n")
