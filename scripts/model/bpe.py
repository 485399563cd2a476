"""Byte-level BPE in GPT-2's form: what `tokenizer.ggml.model = gpt2` with `pre = gpt-2` means for ASCII text.

Ids: the 256 bytes in GPT-2's order, the merged pieces in the order in which they were learnt, then END.
"""
import re
from collections import Counter, defaultdict

END = "<|endoftext|>"  # between chapters; BOS and EOS
# GPT-2's pattern, with its letters and numbers as those of ASCII.
WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def byte_letters() -> list[str]:
    """GPT-2's letter of each byte: printable bytes stand for themselves, the others for U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


LETTERS = byte_letters()


def learn(texts: list[str], size: int) -> tuple[list[str], list[tuple[str, str]]]:
    """`size` pieces and the merges that make them, the most frequent pair first; of equals the first in order of code points."""
    counts = Counter(word for text in texts for word in WORDS.findall(text))
    words = [[LETTERS[b] for b in word.encode()] for word in counts]
    times = list(counts.values())
    pairs: Counter = Counter()
    where = defaultdict(set)
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pairs[pair] += times[n]
            where[pair].add(n)
    pieces, merges = sorted(LETTERS, key=lambda c: (ord(c) > 255, ord(c))), []
    while len(pieces) < size - 1:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces.append("".join(best))
        for n in where.pop(best):
            old = words[n]
            new = joined(old, best)
            for pair in zip(old, old[1:]):
                pairs[pair] -= times[n]
            for pair in zip(new, new[1:]):
                pairs[pair] += times[n]
                where[pair].add(n)
            words[n] = new
        del pairs[best]
    return [*pieces, END], merges


def joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    """The word with each occurrence of the pair, from the left, as one piece."""
    out, i = [], 0
    while i < len(word):
        both = i + 1 < len(word) and (word[i], word[i + 1]) == pair
        out.append(word[i] + word[i + 1] if both else word[i])
        i += 2 if both else 1
    return out


class Tokenizer:
    def __init__(self, pieces: list[str], merges: list[tuple[str, str]]):
        self.pieces = pieces
        self.ids = {piece: n for n, piece in enumerate(pieces)}
        self.rank = {pair: n for n, pair in enumerate(merges)}
        self.end = self.ids[END]
        self.known: dict[str, list[int]] = {}

    @classmethod
    def of(cls, keys: dict) -> "Tokenizer":
        """Of a GGUF file's keys."""
        return cls(keys["tokenizer.ggml.tokens"], [tuple(merge.split(" ")) for merge in keys["tokenizer.ggml.merges"]])

    def word(self, word: str) -> list[int]:
        if word not in self.known:
            parts = [LETTERS[b] for b in word.encode()]
            while len(parts) > 1:
                pair = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                if pair not in self.rank:
                    break
                parts = joined(parts, pair)
            self.known[word] = [self.ids[part] for part in parts]
        return self.known[word]

    def encode(self, text: str) -> list[int]:
        return [n for word in WORDS.findall(text) for n in self.word(word)]

    def decode(self, ids: list[int]) -> str:
        """END is an empty line."""
        bytes_of = {letter: b for b, letter in enumerate(LETTERS)}
        return b"".join(b"\n" if n == self.end else bytes(bytes_of[c] for c in self.pieces[n]) for n in ids).decode("utf-8", "replace")
