# SPDX-License-Identifier: Apache-2.0
"""What a check of the data found, and what every check returns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from scripts.figures.table import counted
from scripts.files.plain_text import note

MOST_NAMED = 20  # cases that are named where many have the same finding
_FILE = re.compile(r" ?\([^()]*[./\\][^()]*\)| in /\S+")  # files that are not known by name
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Finding:
    """One fault, or one thing worth a look."""

    case: str
    phase: str  # its phase; "region" for its mask or box
    what: str
    remedy: str
    breaks_training: bool = False  # whether training would stop at it, or could not learn from the case

    @property
    def place(self) -> str:
        """Case and phase, as one names them."""
        return f"case {self.case}, {self.phase if self.phase == 'region' else f'phase {self.phase!r}'}"

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.remedy}"


@dataclass(frozen=True)
class Checked:
    """What one check says about all cases."""

    check: str  # what was looked for
    tested: str  # how many volumes or cases it could look at, and why not at others
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Alike:
    """Findings that differ in case, phase, file and numbers alone; the first stands for all."""

    findings: Sequence[Finding]

    @property
    def first(self) -> Finding:
        """The finding that is shown in full."""
        return self.findings[0]

    def __str__(self) -> str:
        """One line: of several the number of cases, the first names, and the first finding."""
        if len(self.findings) == 1:
            return str(self.first)
        names = list(dict.fromkeys(finding.case for finding in self.findings))
        return f"{self.place} of {note(counted(len(names), 'case'), names)}; the first: {self.first}"

    @property
    def place(self) -> str:
        """The phases, or the region."""
        names = [repr(name) for name in dict.fromkeys(one.phase for one in self.findings) if name != "region"]
        phases = f"phase{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""
        region = "region" * any(one.phase == "region" for one in self.findings)
        return " and ".join(filter(None, (region, phases)))

    @property
    def cases(self) -> str:
        """The cases, as far as they fit."""
        names = list(dict.fromkeys(finding.case for finding in self.findings))
        return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED))


def together(findings: Sequence[Finding], files: Mapping[str, Sequence[str]] = MappingProxyType({})) -> list[Alike]:
    """Put findings that say the same of several cases or phases together, in the order of the first of each.

    Args:
        findings: in the order in which they are shown.
        files: case -> its files, whose paths make no difference.

    >>> found = [Finding(c, "pre", f"{n} voxels are NaN", f"see ({c}.nii)") for n, c in enumerate("abc")]
    >>> [(len(one.findings), one.cases) for one in together([*found, Finding("a", "region", "it", "see")])]
    [(3, 'a, b, c'), (1, 'a')]
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        said = [_gist(text, files.get(finding.case, ())) for text in (finding.what, finding.remedy)]
        groups.setdefault((finding.breaks_training, *said), []).append(finding)
    return [Alike(group) for group in groups.values()]


def _gist(text: str, files: Sequence[str]) -> str:
    """Return a text without paths and numbers; known paths may hold blanks and brackets."""
    for file in sorted(files, key=len, reverse=True):
        text = text.replace(file, "")
    return _NUMBER.sub("#", _FILE.sub("", text))
