"""The King James Bible as Debian's packages bible-kjv and bible-kjv-text hold it, and the part of it that the model never sees."""
import re
import subprocess

APT = "apt-get install python3-torch libopenblas0-pthread bible-kjv bible-kjv-text"
HELD_OUT = 20  # every twentieth chapter, from the tenth on


def chapters() -> list[str]:
    """The 1,189 chapters in the book's order: a line a verse, without numbers; ASCII."""
    raw = subprocess.run(["bible", "-f", "Gen1:1-Rev22:21"], check=True, capture_output=True).stdout.decode("ascii")
    found: dict[str, list[str]] = {}
    for line in raw.splitlines():
        reference, verse = line.split(" ", 1)
        found.setdefault(reference.split(":")[0], []).append(re.sub(r"\s+", " ", verse).strip())
    return ["".join(verse + "\n" for verse in verses) for verses in found.values()]


def split(all_chapters: list[str]) -> tuple[list[str], list[str]]:
    """Chapters to learn from, and chapters to be judged by."""
    held = [n % HELD_OUT == HELD_OUT // 2 for n in range(len(all_chapters))]
    return [c for c, h in zip(all_chapters, held) if not h], [c for c, h in zip(all_chapters, held) if h]
