"""Names that are the same but for how they are spelt: accents, letter case, spaces, Excel's 1.0."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from scripts.files.plain_text import note

SPELT_ALIKE = 0.88
"""Similarity, from 0 to 1 as `difflib` counts it, from which two class names may be one with a slip."""
FEW = 0.05  # share of the cases up to which a class may be a slip of another one
_LEVEL = re.compile(r"\d+|\b[ivx]+[a-d]?\b|\b[a-d]\b|[+-]+$|\bnon|\bin|\bun")
"""What tells levels of one scale, or a thing and its contrary, apart."""


def folded(text: str) -> str:
    """Return a name without what people vary by accident.

    >>> pairs = (" High_Grade ", "high-grade"), ("001", "1.0"), ("HER2-", "HER2")
    >>> tuple(folded(one) == folded(other) for one, other in pairs)
    (True, True, False)
    """
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    number = re.fullmatch(r"(\d+)(?:[.,]0+)?", text)
    return str(int(number.group(1))) if number else re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", text)


def most_used_spelling(texts: Iterable[str]) -> dict[str, str]:
    """Return, for each text, the most frequent one of those that differ by accident only.

    >>> most_used_spelling(["Benign", "benign", "benign"])
    {'Benign': 'benign', 'benign': 'benign'}
    """
    counts = Counter(texts)
    best: dict[str, str] = {}
    for text in sorted(counts, key=lambda text: (-counts[text], text)):
        best.setdefault(folded(text), text)
    return {text: best[folded(text)] for text in counts}


def merged(texts: Sequence[str], what: str) -> tuple[dict[str, str], list[str]]:
    """Return text -> its spelling, and a line for each spelling that is taken for another one.

    >>> merged(["M", "m", "F"], "sex")[1]
    ["sex: 'm' (1) and 'M' (1) are taken for one, 'M'"]
    """
    counts, spelling = Counter(texts), most_used_spelling(texts)
    lines = [
        f"{what}: {text!r} ({counts[text]}) and {best!r} ({counts[best]}) are taken for one, {best!r}"
        for text, best in sorted(spelling.items())
        if text != best
    ]
    return spelling, lines


def slips(counts: Counter[str]) -> list[tuple[str, str]]:
    """Return pairs (rare name, frequent name) that are spelt nearly alike and may be one.

    >>> slips(Counter({"malignant": 40, "malignent": 1, "stage 2": 30, "stage 3": 1}))
    [('malignent', 'malignant')]
    """
    found = []
    for rare in counts:
        if counts[rare] > max(2, FEW * counts.total()):
            continue
        for other in counts:
            alike = SequenceMatcher(None, folded(rare), folded(other)).ratio() >= SPELT_ALIKE
            levels = _LEVEL.findall(folded(rare)) != _LEVEL.findall(folded(other))
            if counts[other] > counts[rare] and alike and not levels:
                found.append((rare, other))
    return found


@dataclass(frozen=True)
class Matches:
    """Which name of a dataset is which name of a table."""

    # name in the dataset -> name in the table; those without a partner are not among them
    row_of: dict[str, str]
    loose: list[str]  # pairs that are spelt differently, "1 (001)"

    def note(self, table: str) -> str:
        """Return a line about the pairs that are spelt differently, nothing where there is none."""
        return note(f"names that the {table} spells differently (there, and here)", self.loose)


def match_names(known: Iterable[str], rows: Iterable[str]) -> Matches:
    """Match the names of a dataset with those of a table, one to one.

    Equal names match first, whichever way their accents are stored; then those of the rest that differ by
    accident only (see `folded`), where there is one partner on each side.

    >>> match_names(["001", "002", "P3"], ["1", "2.0", "p3", "4"]).row_of
    {'001': '1', '002': '2.0', 'P3': 'p3'}
    """
    by_name = {unicodedata.normalize("NFC", row): row for row in rows}
    names = list(dict.fromkeys(known))
    exact = {
        name: by_name[plain] for name in names if (plain := unicodedata.normalize("NFC", name)) in by_name
    }
    taken = set(exact.values())
    here, there = (
        _by_fold(name for name in names if name not in exact),
        _by_fold(set(by_name.values()) - taken),
    )
    pairs = {
        one[0]: there[key][0] for key, one in here.items() if len(one) == 1 and len(there.get(key, [])) == 1
    }
    found = {name: (exact | pairs)[name] for name in names if name in exact or name in pairs}
    return Matches(found, [f"{row} and {name}" for name, row in pairs.items()])


def _by_fold(names: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(folded(name), []).append(name)
    return groups
