"""The model of a GGUF file in float64, one position after the other as a runtime does it, and the fixture that runtimes are held against:

    /usr/bin/python3 scripts/model/forward.py models/kjv.gguf test/fixtures/llm/kjv-logits.json
    npx biome format --write test/fixtures/llm/kjv-logits.json
"""
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import gguf
from bpe import Tokenizer

PROMPT = "And it came to pass in those days, that the king of Babylon went up against Jerusalem,"
TOP = 32


class Model:
    """Reads its shape from the file's keys, so that it shares nothing with network.py but the file."""

    def __init__(self, path: Path):
        self.file = gguf.Reader(path)
        self.w = {name: tensor.astype(np.float64) for name, tensor in self.file.tensors.items()}
        self.tokenizer = Tokenizer.of(self.file.keys)
        self.begin()

    def key(self, name: str):
        return self.file.keys[f"llama.{name}"]

    def begin(self) -> None:
        """Forgets what was read."""
        self.cache = [([], []) for _ in range(self.key("block_count"))]

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt(np.mean(x * x) + np.float64(np.float32(self.key("attention.layer_norm_rms_epsilon")))) * self.w[f"{name}.weight"]

    def turned(self, x: np.ndarray, position: int) -> np.ndarray:
        """x (heads, e): each pair of neighbours is turned by position · base^(-2i/e)."""
        e = x.shape[1]
        angle = position * self.key("rope.freq_base") ** (-np.arange(0, e, 2) / e)
        even, odd = x[:, 0::2], x[:, 1::2]
        out = np.empty_like(x)
        out[:, 0::2] = even * np.cos(angle) - odd * np.sin(angle)
        out[:, 1::2] = even * np.sin(angle) + odd * np.cos(angle)
        return out

    def next(self, token: int) -> np.ndarray:
        """Reads one token; the logits of what follows."""
        heads, kv_heads = self.key("attention.head_count"), self.key("attention.head_count_kv")
        e = self.key("embedding_length") // heads
        x = self.w["token_embd.weight"][token]
        for l, (keys, values) in enumerate(self.cache):
            position = len(keys)

            def of(name: str) -> np.ndarray:
                return self.w[f"blk.{l}.{name}.weight"]

            h = self.norm(x, f"blk.{l}.attn_norm")
            q = self.turned((of("attn_q") @ h).reshape(heads, e), position)
            keys.append(self.turned((of("attn_k") @ h).reshape(kv_heads, e), position))
            values.append((of("attn_v") @ h).reshape(kv_heads, e))
            k, v = np.stack(keys), np.stack(values)
            o = []
            for head in range(heads):
                own = head // (heads // kv_heads)
                scores = k[:, own] @ q[head] / np.sqrt(e)
                share = np.exp(scores - scores.max())
                o.append(share @ v[:, own] / share.sum())
            x = x + of("attn_output") @ np.concatenate(o)
            h = self.norm(x, f"blk.{l}.ffn_norm")
            gate = of("ffn_gate") @ h
            x = x + of("ffn_down") @ (gate / (1 + np.exp(-gate)) * (of("ffn_up") @ h))
        return self.w["token_embd.weight"] @ self.norm(x, "output_norm")


def main() -> None:
    path, out = Path(sys.argv[1]), Path(sys.argv[2])
    model = Model(path)
    ids = [model.tokenizer.end, *model.tokenizer.encode(PROMPT)]
    for n in ids:
        logits = model.next(n)
    order = np.argsort(-logits, kind="stable")[:TOP]
    fixture = {
        "file": hashlib.sha256(path.read_bytes()).hexdigest(),
        "prompt": PROMPT,
        "ids": ids,  # of the prompt, after BOS
        "norm": float(np.linalg.norm(logits)),
        "top": [[int(n), float(np.float32(logits[n]))] for n in order],
        # The first values of some rows of the embedding, and a hash of each tensor's float32 values.
        "embedding": {str(n): model.file.tensors["token_embd.weight"][n, :16].tolist() for n in (0, 83, 300, model.tokenizer.end)},
        "sha256": {name: hashlib.sha256((tensor + np.float32(0)).tobytes()).hexdigest() for name, tensor in model.file.tensors.items()},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(fixture, indent=2) + "\n")


if __name__ == "__main__":
    main()
