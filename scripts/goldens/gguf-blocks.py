# Writes test/fixtures/gguf/NVFP4.bin: random blocks, and the numbers that gguf-py reads in them. gguf.mjs has the types that llama.cpp's release
# of node-llama-cpp knows; the form of the file is the same: two rows of 256 weights, then their float32 values.
#
#   python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install gguf==0.19.0
#   /tmp/goldens/bin/python scripts/goldens/gguf-blocks.py
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, quants

random = np.random.default_rng(1)
blocks = random.integers(0, 256, (8, 36), dtype=np.uint8)
blocks[:, :4] = random.integers(0, 127, (8, 4), dtype=np.uint8)  # no NaN and no sign
weights = quants.dequantize(blocks, GGMLQuantizationType.NVFP4).astype(np.float32)
folder = Path(__file__).parent.parent.parent / "test" / "fixtures" / "gguf"
(folder / "NVFP4.bin").write_bytes(blocks.tobytes() + weights.tobytes())
