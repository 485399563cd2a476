"""ggml's Q4_K and Q6_K: scales of a float tensor, codes, the weights that they mean, and their bytes. Blocks of 256 along a row.

Q4_K: w = d · sc · q - dmin · m, q of 4 bits, sc and m of 6 bits for each 32. Q6_K: w = d · sc · (q - 32), q of 6 bits, sc of 8 bits with a
sign for each 16. Bytes are block_q4_K and block_q6_K of ggml-common.h.
"""
import numpy as np
import torch

BLOCK = 256
TYPES = {"F32": 0, "Q4_K": 12, "Q6_K": 14}
BYTES = {"Q4_K": 144, "Q6_K": 210}
SIX = ("token_embd", "attn_v", "ffn_down")  # where four bits cost most, as in llama.cpp's Q4_K_M


def type_of(name: str) -> str:
    if "norm" in name:
        return "F32"
    return "Q6_K" if any(part in name for part in SIX) else "Q4_K"


def half(x: torch.Tensor) -> torch.Tensor:
    return x.half().float()


def ratio(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b == 0, torch.zeros_like(a), a / torch.where(b == 0, torch.ones_like(b), b))


def search4(x: torch.Tensor) -> dict[str, torch.Tensor]:
    """x (blocks, 8, 32) → d, dmin (blocks, 1, 1), sc, m (blocks, 8, 1).

    Several ranges of each 32 give codes, and the line that fits the codes best gives scale and minimum; that of least squared error is taken.
    """
    low, high = x.amin(-1, True).clamp(max=0), x.amax(-1, True)
    best = torch.full_like(low, torch.inf)
    scale, minimum = torch.zeros_like(low), torch.zeros_like(low)
    mx = x.mean(-1, True)
    for levels in (13.8, 14.4, 15.0, 15.6, 16.2):
        q = (ratio(torch.full_like(low, levels), high - low) * (x - low)).round_().clamp_(0, 15)
        mq = q.mean(-1, True)
        s = ratio(((q - mq) * x).mean(-1, True), (q * q).mean(-1, True) - mq * mq)
        b = mx - s * mq
        # A minimum is at most 0: without one the line goes through the origin.
        s = torch.where(b > 0, ratio((q * x).mean(-1, True), (q * q).mean(-1, True)), s)
        b = b.clamp(max=0)
        error = (s * q + b - x).square().sum(-1, True)
        better = (error < best) & (s >= 0)
        best, scale, minimum = torch.where(better, error, best), torch.where(better, s, scale), torch.where(better, -b, minimum)
    d, dmin = half(scale.amax(1, True) / 63), half(minimum.amax(1, True) / 63)
    return {"d": d, "dmin": dmin, "sc": ratio(scale, d).round().clamp(0, 63), "m": ratio(minimum, dmin).round().clamp(0, 63)}


def search6(x: torch.Tensor) -> dict[str, torch.Tensor]:
    """x (blocks, 16, 16) → d (blocks, 1, 1), sc (blocks, 16, 1). A scale may be negative: the weight of most size becomes code -32 · scale."""
    most = x.gather(-1, x.abs().argmax(-1, True))
    best = torch.full_like(most, -1.0)
    scale = torch.zeros_like(most)
    for levels in (-31.4, -32.0, -32.6):
        q = (ratio(torch.full_like(most, levels), most) * x).round_().clamp_(-32, 31)
        along, size = (q * x).sum(-1, True), (q * q).sum(-1, True)
        gain = ratio(along * along, size)  # what least squares leaves is Σx² less this
        scale, best = torch.where(gain > best, ratio(along, size), scale), torch.maximum(gain, best)
    d = half(scale.gather(1, scale.abs().argmax(1, True)) / -128)
    return {"d": d, "sc": ratio(scale, d).round().clamp(-128, 127)}


def blocks(name: str, w: torch.Tensor) -> torch.Tensor:
    return w.reshape(-1, 8, 32) if type_of(name) == "Q4_K" else w.reshape(-1, 16, 16)


def search(name: str, w: torch.Tensor) -> dict[str, torch.Tensor]:
    return (search4 if type_of(name) == "Q4_K" else search6)(blocks(name, w))


def codes(name: str, w: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    x = blocks(name, w)
    if type_of(name) == "Q4_K":
        return ratio(x + p["dmin"] * p["m"], (p["d"] * p["sc"]).expand_as(x)).round_().clamp_(0, 15)
    return ratio(x, (p["d"] * p["sc"]).expand_as(x)).round_().clamp_(-32, 31)


def weights(q: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    """In float32, in ggml's order of operations: equal to its dequantize_row_* in every bit."""
    w = p["d"] * p["sc"] * q
    return w - p["dmin"] * p["m"] if "m" in p else w


def straight_through(name: str, w: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    """The quantized weights, whose slopes are those of w."""
    with torch.no_grad():
        change = weights(codes(name, w, p), p).view_as(w) - w
    return w + change


def quantized(name: str, w: torch.Tensor) -> torch.Tensor:
    p = search(name, w)
    return weights(codes(name, w, p), p).view_as(w)


def pack(name: str, w: torch.Tensor) -> bytes:
    p = {key: value.numpy() for key, value in search(name, w).items()}
    q = codes(name, w, {key: torch.from_numpy(value) for key, value in p.items()}).numpy().astype(np.int16)
    d = p["d"].astype(np.float16).reshape(-1, 1).view(np.uint8)
    if type_of(name) == "Q4_K":
        dmin = p["dmin"].astype(np.float16).reshape(-1, 1).view(np.uint8)
        sc, m = (p[key].astype(np.uint8).reshape(-1, 8) for key in ("sc", "m"))
        # sc and m of the last four: their low nibbles in bytes 8 … 11, their high two bits above the six bits of the first four.
        first = [of[:, :4] | (of[:, 4:] >> 4) << 6 for of in (sc, m)]
        last = (sc[:, 4:] & 15) | (m[:, 4:] & 15) << 4
        # Of each 64 codes, the first 32 are low nibbles and the next 32 the high ones.
        pairs = q.astype(np.uint8).reshape(-1, 4, 2, 32)
        return np.concatenate([d, dmin, *first, last, (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)], 1).tobytes()
    # Of each 128 codes: l and l + 32 are low nibbles of 64 bytes, l + 64 and l + 96 the high ones; their high two bits share byte l of qh.
    four = (q + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = ((four[:, :, :2] & 15) | (four[:, :, 2:] & 15) << 4).reshape(-1, 128)
    top = (four >> 4) << np.array([0, 2, 4, 6], np.uint8)[:, None]
    high = np.bitwise_or.reduce(top, 2).reshape(-1, 64)
    return np.concatenate([low, high, p["sc"].astype(np.int8).reshape(-1, 16).view(np.uint8), d], 1).tobytes()


def unpack(kind: str, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """float32 weights of the bytes of a tensor, as ggml's dequantize_row_* makes them."""
    if kind == "F32":
        return np.frombuffer(data, np.float32).reshape(shape)
    b = np.frombuffer(data, np.uint8).reshape(-1, BYTES[kind])
    if kind == "Q4_K":
        d, dmin = (b[:, at : at + 2].copy().view(np.float16).astype(np.float32)[:, :, None] for at in (0, 2))
        first, last = (b[:, 4:8], b[:, 8:12]), (b[:, 12:16] & 15, b[:, 12:16] >> 4)
        sc, m = (np.concatenate([f & 63, l | (f >> 6) << 4], 1)[:, :, None].astype(np.float32) for f, l in zip(first, last))
        qs = b[:, 16:].reshape(-1, 4, 1, 32)
        q = np.concatenate([qs & 15, qs >> 4], 2).reshape(-1, 8, 32).astype(np.float32)
        return (d * sc * q - dmin * m).reshape(shape)
    ql, qh = b[:, :128].reshape(-1, 2, 2, 32), b[:, 128:192].reshape(-1, 2, 1, 32)
    high = (qh >> np.array([0, 2, 4, 6], np.uint8)[:, None]) & 3
    q = (np.concatenate([ql & 15, ql >> 4], 2) | high << 4).reshape(-1, 16, 16).astype(np.float32) - 32
    sc = b[:, 192:208].copy().view(np.int8).astype(np.float32)[:, :, None]
    return (b[:, 208:].copy().view(np.float16).astype(np.float32)[:, :, None] * sc * q).reshape(shape)
