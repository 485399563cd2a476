"""Judges a written model: held-out bits a byte, and 500 words of its own.

    /usr/bin/python3 scripts/model/evaluate.py models/kjv.gguf [--state kjv.pt]

With --state, the float weights that the file was made of are judged too. The words are sampled at temperature 0.8 from a fixed seed, chapter
after chapter; at the end of its context the model keeps the last half. --text prints them.
"""
import argparse
import re
from pathlib import Path

import torch

import gguf
import network
import text
from bpe import Tokenizer
from measure import bits_a_byte, with_ends

TEMPERATURE, SEED, WORDS, COPIED = 0.8, 1, 500, 20


@torch.no_grad()
def sample(w: dict[str, torch.Tensor], tokenizer: Tokenizer) -> str:
    random = torch.Generator().manual_seed(SEED)
    ids = [tokenizer.end]
    seen = [tokenizer.end]
    while len(words_of(tokenizer.decode(ids))) <= WORDS:  # the last one may be half
        if len(seen) == network.CONTEXT:
            seen = seen[network.CONTEXT // 2 :]
        share = torch.softmax(network.logits(w, torch.tensor([seen]))[-1] / TEMPERATURE, -1)
        ids.append(int(torch.multinomial(share, 1, generator=random)))
        seen.append(ids[-1])
    return tokenizer.decode(ids).strip()


def words_of(of: str) -> list[str]:
    return re.findall(r"[A-Za-z]+", of)


def longest_copy(words: list[str], source: list[str]) -> int:
    """The most successive words that stand in the source too."""
    n = 0
    while True:
        known = {tuple(source[i : i + n + 1]) for i in range(len(source) - n)}
        if not any(tuple(words[i : i + n + 1]) in known for i in range(len(words) - n)):
            return n
        n += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--text", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    file = gguf.Reader(args.model)
    w = {name: torch.from_numpy(tensor.copy()) for name, tensor in file.tensors.items()}
    tokenizer = Tokenizer.of(file.keys)
    all_chapters = text.chapters()
    held = [with_ends(tokenizer, chapter) for chapter in text.split(all_chapters)[1]]
    print(f"{args.model}: {args.model.stat().st_size} bytes")
    print(f"held out, as the file holds it: {bits_a_byte(w, held):.4f} bits a byte")
    if args.state:
        parts = torch.load(args.state)["flat"].split([t.numel() for t in w.values()])
        floats = {name: part.view(t.shape) for (name, t), part in zip(w.items(), parts)}
        print(f"held out, before quantizing: {bits_a_byte(floats, held):.4f} bits a byte")

    made = sample(w, tokenizer)
    words = words_of(made)[:WORDS]
    source = words_of("\n".join(all_chapters))
    known = set(source)
    fours = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    print(f"{len(words)} words: {sum(word in known for word in words) / len(words):.1%} from the text, distinct 4-grams {len(set(fours)) / len(fours):.3f}")
    print(f"longest run of words that stands in the text: {longest_copy(words, source)} (less than {COPIED} is asked)")
    if args.text:
        print(made)


if __name__ == "__main__":
    main()
