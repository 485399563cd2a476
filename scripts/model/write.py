"""The trained weights and the tokenizer as a GGUF file."""
from pathlib import Path

import torch

import bpe
import gguf
import network
import quants

NORMAL, CONTROL = 1, 3  # of tokenizer.ggml.token_type


def write_model(path: Path, w: dict[str, torch.Tensor], pieces: list[str], merges: list[tuple[str, str]]) -> None:
    end = pieces.index(bpe.END)
    keys = {
        "general.architecture": (gguf.STRING, "llama"),
        "general.name": (gguf.STRING, "kjv"),
        "general.description": (gguf.STRING, "Continues text in the manner of the King James Bible, which is all it has read"),
        "general.license": (gguf.STRING, "apache-2.0"),
        "general.quantization_version": (gguf.U32, 2),
        "general.file_type": (gguf.U32, 15),  # mostly Q4_K, medium
        "llama.context_length": (gguf.U32, network.CONTEXT),
        "llama.embedding_length": (gguf.U32, network.WIDTH),
        "llama.block_count": (gguf.U32, network.LAYERS),
        "llama.feed_forward_length": (gguf.U32, network.INNER),
        "llama.attention.head_count": (gguf.U32, network.HEADS),
        "llama.attention.head_count_kv": (gguf.U32, network.KV_HEADS),
        "llama.attention.layer_norm_rms_epsilon": (gguf.F32, network.EPSILON),
        "llama.rope.dimension_count": (gguf.U32, network.HEAD),
        "llama.rope.freq_base": (gguf.F32, network.BASE),
        "llama.vocab_size": (gguf.U32, len(pieces)),
        "tokenizer.ggml.model": (gguf.STRING, "gpt2"),
        "tokenizer.ggml.pre": (gguf.STRING, "gpt-2"),
        "tokenizer.ggml.tokens": ([gguf.STRING], pieces),
        "tokenizer.ggml.token_type": ([gguf.I32], [CONTROL if piece == bpe.END else NORMAL for piece in pieces]),
        "tokenizer.ggml.merges": ([gguf.STRING], [" ".join(pair) for pair in merges]),
        "tokenizer.ggml.bos_token_id": (gguf.U32, end),
        "tokenizer.ggml.eos_token_id": (gguf.U32, end),
        "tokenizer.ggml.add_bos_token": (gguf.BOOL, True),
        "tokenizer.ggml.add_eos_token": (gguf.BOOL, False),
    }
    tensors = {}
    for name, t in w.items():
        kind = quants.type_of(name)
        tensors[name] = (kind, tuple(t.shape), t.numpy().tobytes() if kind == "F32" else quants.pack(name, t))
    gguf.write(path, keys, tensors)
