"""Names and birth dates of patients, which folders and descriptions may hold: neither printed nor written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

STAND_INS = {
    "anonymous", "anonym", "anonymized", "anonymised", "anon", "unknown", "patient", "name", "none", "test",
    "phantom", "case", "image", "images", "series", "study", "dicom", "volume", "phase", "for", "not", "the",
    "and", "von", "van",
}  # fmt: skip
"""Words that stand where a name should, or that everybody writes."""
HIDDEN, BIRTH = "(name)", "(birth)"
LEAST, LONG = 3, 5
"""Letters from which on a word of a name is hidden where it stands alone, and within others."""
BETWEEN = r"(?:[^\w/]|[\d_]){0,2}"
"""What may stand between two words of a name."""
ASIAN = "[\u2e80-\ud7ff\uf900-\ufaff]"


class Persons:
    """What takes the names and birth dates of patients out of a text.

    One word of a name is hidden where it has three letters or more, also without its accents or as Mueller
    for Müller; shorter words (Li, Wu) beside another word of the same name. A name with digits and without ^
    is a pseudonym.

    Args:
        names: PatientName of each, e.g. Müller^Jürgen.
        births: PatientBirthDate of each, YYYYMMDD; hidden in any order of year, month and day.

    >>> persons = Persons(["Müller^Jürgen", "Li^Wei", "ProstateX-0001"])
    >>> persons.without_names("mueller/JuergenMuller_LI-WEI/ProstateX-0001/li")
    '(name)/(name)_(name)/ProstateX-0001/li'
    >>> Persons([], ["19511224"]).without_names("ct_19511224/24.12.1951/1951-12-24b/119511224")
    'ct_(birth)/(birth)/(birth)b/119511224'
    >>> persons.named_in("CT12"), persons.named_in("MUELLER01")
    (False, True)
    """

    def __init__(self, names: Iterable[str], births: Iterable[str] = ()) -> None:
        patterns: set[str] = set()
        for name in set(names):
            words = sorted(_words(name), key=len, reverse=True)
            if not words:
                continue
            several = f"(?:{'|'.join(map(re.escape, words))})"
            patterns.add(rf"(?<![^\W\d_]){several}(?:{BETWEEN}{several})+(?![^\W\d_])")
            for word in words:
                if len(word) >= LONG or re.match(ASIAN, word):
                    patterns.add(re.escape(word))
                elif len(word) >= LEAST:
                    patterns.add(rf"(?<![^\W\d_]){re.escape(word)}(?![^\W\d_])")
        ordered = sorted(patterns, key=lambda pattern: (not pattern.startswith("(?<"), -len(pattern)))
        self._names = re.compile("|".join(ordered), re.IGNORECASE) if ordered else None
        dates = [_dates(birth) for birth in sorted(set(births)) if re.fullmatch(r"\d{8}", birth)]
        self._births = re.compile(rf"(?<!\d)(?:{'|'.join(dates)})(?!\d)") if dates else None

    def without_names(self, text: str) -> str:
        """Return a text with '(name)' in place of every name, and '(birth)' in that of a birth date."""
        if self._births is not None:
            text = self._births.sub(BIRTH, text)
        if self._names is None:
            return text
        return self._names.sub(HIDDEN, unicodedata.normalize("NFC", text))

    def named_in(self, text: str) -> bool:
        """Whether a text holds a name."""
        return self._names is not None and bool(self._names.search(unicodedata.normalize("NFC", text)))


def _dates(birth: str) -> str:
    """Return a pattern of a date of eight digits, as people write it."""
    year, month, day = birth[:4], birth[4:6], birth[6:]
    return "|".join(
        "[-./_ ]?".join(parts) for parts in ((year, month, day), (day, month, year), (month, day, year))
    )


def _words(name: str) -> set[str]:
    """Return the words of a name, each also as it is written without accents."""
    if "^" not in name and re.search(r"\d", name):
        return set()
    words = set()
    for word in re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", name)):
        if word.lower() not in STAND_INS and (len(word) > 1 or re.match(ASIAN, word)):
            plain = "".join(
                one for one in unicodedata.normalize("NFD", word) if not unicodedata.combining(one)
            )
            german = word.lower().translate({0xE4: "ae", 0xF6: "oe", 0xFC: "ue", 0xDF: "ss"})
            words |= {word.lower(), plain.lower(), german}
    return words
