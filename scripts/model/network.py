"""The model: llama in GGUF's names, as one function of a table of weights, so that quantized weights can stand in for the trained ones."""
import math

import torch
import torch.nn.functional as F

WIDTH, LAYERS, HEADS, KV_HEADS, HEAD, INNER, CONTEXT = 256, 3, 4, 2, 64, 512, 256
EPSILON, BASE = 1e-5, 10000.0

LAYER_SHAPES = {
    "attn_q": (HEADS * HEAD, WIDTH),
    "attn_k": (KV_HEADS * HEAD, WIDTH),
    "attn_v": (KV_HEADS * HEAD, WIDTH),
    "attn_output": (WIDTH, HEADS * HEAD),
    "ffn_gate": (INNER, WIDTH),
    "ffn_up": (INNER, WIDTH),
    "ffn_down": (WIDTH, INNER),
    "attn_norm": (WIDTH,),
    "ffn_norm": (WIDTH,),
}


def shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Name of a tensor → its shape, outputs first. The embedding is the head as well."""
    layers = {f"blk.{l}.{name}.weight": shape for l in range(LAYERS) for name, shape in LAYER_SHAPES.items()}
    return {"token_embd.weight": (vocabulary, WIDTH), **layers, "output_norm.weight": (WIDTH,)}


def initial(vocabulary: int, seed: int) -> dict[str, torch.Tensor]:
    """Normal weights of deviation 0.02, those that end in the residual smaller by √(2 · layers); norms are 1."""
    random = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in shapes(vocabulary).items():
        size = 0.02 / math.sqrt(2 * LAYERS) if "output." in name or "down" in name else 0.02
        made[name] = torch.ones(shape) if "norm" in name else size * torch.randn(shape, generator=random)
    return made


class Norm(torch.autograd.Function):
    """RMSNorm: y = x · r ∘ weight with r = 1 / √(mean x² + ε). By hand, since autograd's own takes thrice the passes over memory."""

    @staticmethod
    def forward(ctx, x, weight):
        r = torch.rsqrt(torch.linalg.vector_norm(x, dim=-1, keepdim=True).square() / x.shape[-1] + EPSILON)
        n = x * r
        ctx.save_for_backward(n, r, weight)
        return n * weight

    @staticmethod
    def backward(ctx, dy):
        n, r, weight = ctx.saved_tensors
        dn = dy * weight
        along = (dn * n).mean(-1, keepdim=True)
        return (dn - n * along) * r, (dy * n).sum(0)


def rotations(length: int) -> torch.Tensor:
    """cos + i sin of each position and pair. Pairs are neighbours (2i, 2i + 1), which is llama's order in GGUF files ("NORM" of llama.cpp):
    rows of q and k are written as trained. Only models trained on halves (i, i + e/2), as Hugging Face's, must be permuted for GGUF."""
    frequency = BASE ** (-torch.arange(0, HEAD, 2, dtype=torch.float64) / HEAD)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)


def logits(w: dict[str, torch.Tensor], ids: torch.Tensor, halves: bool = False) -> torch.Tensor:
    """ids (B, T) → logits (B · T, vocabulary). halves: factors of the layers' products, and the products, are bfloat16; all else is float32."""

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.bfloat16() @ b.bfloat16()).float() if halves else a @ b

    B, T = ids.shape
    turn = rotations(T)[:, None, :]
    later = torch.full((T, T), -torch.inf).triu(1).repeat(HEADS // KV_HEADS, 1)
    x = F.embedding(ids.reshape(-1), w["token_embd.weight"])
    for l in range(LAYERS):
        of = {name: w[f"blk.{l}.{name}.weight"] for name in LAYER_SHAPES}
        h = Norm.apply(x, of["attn_norm"])
        qkv = product(h, torch.cat([of["attn_q"], of["attn_k"], of["attn_v"]]).T).view(B, T, HEADS + 2 * KV_HEADS, HEAD)
        qk, v = qkv.split([HEADS + KV_HEADS, KV_HEADS], 2)
        qk = torch.view_as_real(torch.view_as_complex(qk.reshape(B, T, -1, HEAD // 2, 2)) * turn).flatten(3)
        q, k = qk.split([HEADS, KV_HEADS], 2)
        # Query heads of a group share keys and values: they lie below each other as rows of one product.
        q = q.transpose(1, 2).reshape(B * KV_HEADS, -1, HEAD)
        k = k.transpose(1, 2).reshape(B * KV_HEADS, T, HEAD)
        v = v.transpose(1, 2).reshape(B * KV_HEADS, T, HEAD)
        share = torch.softmax(product(q * HEAD**-0.5, k.transpose(1, 2)) + later, -1)
        o = product(share, v).view(B, HEADS, T, HEAD).transpose(1, 2).reshape(B * T, -1)
        x = x + product(o, of["attn_output"].T)
        h = Norm.apply(x, of["ffn_norm"])
        gate, up = product(h, torch.cat([of["ffn_gate"], of["ffn_up"]]).T).split(INNER, -1)
        x = x + product(F.silu(gate) * up, of["ffn_down"].T)
    return Norm.apply(x, w["output_norm.weight"]) @ w["token_embd.weight"].T
