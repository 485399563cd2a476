"""Bits a byte of chapters that were held out."""
import math

import torch
import torch.nn.functional as F

import network


def with_ends(tokenizer, chapter: str) -> tuple[list[int], int]:
    """Ids of a chapter between two ENDs, and its bytes. The last END has to be foreseen and counts as no byte."""
    return [tokenizer.end, *tokenizer.encode(chapter), tokenizer.end], len(chapter.encode())


@torch.no_grad()
def bits_a_byte(w: dict[str, torch.Tensor], held: list[tuple[list[int], int]], stride: int = network.CONTEXT // 2) -> float:
    """Windows of the model's context move on by `stride` pieces, of which each is judged once, with at least CONTEXT - stride before it."""
    nats = 0.0
    for ids, _ in held:
        judged = 1
        for begin in range(0, len(ids), stride):
            part = torch.tensor([ids[begin : begin + network.CONTEXT + 1]])
            end = begin + part.shape[1]
            if end > judged:
                z = network.logits(w, part[:, :-1])[judged - end :]
                nats += float(F.cross_entropy(z, part[0, judged - end :], reduction="sum"))
                judged = end
    return nats / math.log(2) / sum(size for _, size in held)
