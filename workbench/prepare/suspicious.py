# SPDX-License-Identifier: Apache-2.0
"""Clinical columns that look like the answer: recorded after the diagnosis, or another name for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scripts.cases.clinical import Column
from scripts.cases.splits import Case, Splits
from workbench.prepare.telling import FILLED, MOST_PAIRS, Judged, Telling, chance_level

LEAST_AUC = 0.95
"""Columns are left out from this AUC on. What is known before a diagnosis rarely tells so much: of 49 values in
165 liver cancers the best one reaches .70 and the best pair .77; PSA density reaches .68 in 1500 men."""
LEAST_AUC_FILLED = 0.70
"""The same for whether a value is filled in, which is no property of a disease: it reaches at most .61 in these
patients, and .72 for whether a biopsy result exists."""
WORTH_A_LOOK = 0.85  # columns are kept with a warning from this AUC on
MORE = 0.03
"""Gain in AUC over the best column alone (or the best pair) from which columns are reported together."""
FEWEST_TO_LEAVE_OUT = 20
"""Labelled patients whose value must be known before a column is left out; with fewer it only gets a warning."""
FEWEST_PER_CLASS = 5  # patients that a class, and all others together, must have to be judged
MOST_NAMED = 5


@dataclass(frozen=True)
class Findings:
    """What was found about the clinical columns."""

    # what looks like the answer, each with the class that it tells best
    suspicious: list[Telling] = field(default_factory=list)
    doubtful: list[Telling] = field(default_factory=list)  # what is worth a look
    # the most telling columns, and last the most telling pair, however little they tell
    best: list[Telling] = field(default_factory=list)
    # AUC that chance alone reaches in 1 of 100 datasets of this size, over all columns and pairs
    chance: float = 1.0
    cases: int = 0  # labelled cases that were looked at
    unjudged: str = ""
    """Why no column could be judged, in words."""

    def lines(self, keep: bool) -> list[str]:
        """Return what to tell the user."""
        done = "kept" if keep else "left out; if it is known before the diagnosis, pass --keep_suspicious True"
        lines = [f"warning: {sentence(one)}: {done}" for one in self.suspicious]
        lines += [
            f"warning: {sentence(one)}: kept; if it is written down after the diagnosis, take it out by --clinical"
            for one in self.doubtful
        ]
        if self.unjudged:
            lines.append(f"warning: clinical columns are not looked at for the answer: {self.unjudged}")
        if self.best:
            lines.append(
                f"most telling clinical columns of {self.cases} training cases, by AUC: "
                f"{', '.join(map(str, self.best))} (chance stays below {self.chance:.2f})"
            )
        return lines


def sentence(found: Telling) -> str:
    """Return in words what columns tell.

    >>> sentence(Telling(("grade", "stage"), "ill", 0.99, 40))
    "clinical columns 'grade' and 'stage' together tell the class 'ill' by their values (AUC 0.990, 40 cases)"
    """
    names = " and ".join(map(repr, found.columns))
    many = len(found.columns) > 1
    subject = f"clinical columns {names} together tell" if many else f"clinical column {names} alone tells"
    by = "their values" if many else found.by
    return f"{subject} the class {found.label!r} by {by} (AUC {found.auc:.3f}, {found.cases} cases)"


def without_suspicious(
    splits: Splits, columns: Sequence[Column], keep: bool = False
) -> tuple[dict[str, list[Case]], list[Column], list[str]]:
    """Return cases and columns without those that look like the answer, and lines about them.

    Only training cases are looked at.
    """
    found = suspicious_columns(splits["training"], columns)
    gone = set() if keep else {name for one in found.suspicious for name in one.columns}
    cleaned = {
        split: [
            case | {"clinical": {name: value for name, value in case["clinical"].items() if name not in gone}}
            if case.get("clinical")
            else case
            for case in cases
        ]
        for split, cases in splits.items()
    }
    return cleaned, [column for column in columns if column["name"] not in gone], found.lines(keep)


def suspicious_columns(cases: Sequence[Case], columns: Sequence[Column]) -> Findings:
    """Find columns that nearly give a class away: alone, by being filled in, in pairs or all together.

    A single column is judged by the order of its values, or by the share of the class among other patients'
    cases with about the same value; pairs and all columns together by a small tree and a logistic regression,
    cross-validated by patient.
    Columns are left out from an AUC of 0.95 on (0.70 for whether they are filled in), if chance does not reach
    it and there are 20 patients. The cases of a patient count as one.

    Args:
        cases: entries of dataset.json; those without a label do not count.

    >>> cases = [{"case": str(n), "label": ["well", "ill"][n % 2], "clinical": {"age": n, "pathology": n % 2}}
    ...          for n in range(40)]
    >>> columns = [{"name": "age", "kind": "number"}, {"name": "pathology", "kind": "number"}]
    >>> sentence(suspicious_columns(cases, columns).suspicious[0])
    "clinical column 'pathology' alone tells the class 'ill' by its values (AUC 1.000, 40 cases)"
    """
    labelled = [case for case in cases if "label" in case]
    if not columns:
        return Findings()
    labels = sorted({case["label"] for case in labelled})
    labels = labels[:1] if len(labels) == 2 else labels  # of two classes, one tells the other
    tables = [Judged(labelled, columns, label) for label in labels]
    everyone = np.full(len(labelled), True)
    tables = [table for table in tables if min(table.sides(everyone)) >= FEWEST_PER_CLASS]
    if not tables:
        enough = f"{FEWEST_PER_CLASS} patients of a class and as many others are needed"
        why = f"{enough} among {len(labelled)} training cases"
        return Findings(cases=len(labelled), unjudged=why)
    fewest = min(FEWEST_TO_LEAVE_OUT, sum(tables[0].sides(everyone)))
    most_pairs = MOST_PAIRS // len(tables)
    looks = len(tables) * (2 * len(columns) + min(most_pairs, len(columns) * (len(columns) - 1) // 2))

    def chance(one: Telling) -> float:
        members, others = one.patients
        return chance_level(max(members, 1), max(others, 1), looks)

    alone: dict[str, Telling] = {}
    for index, column in enumerate(columns):
        found = [one for table in tables for one in table.alone(index, FEWEST_PER_CLASS) if sum(one.patients) >= fewest]
        if found:
            alone[column["name"]] = max(found, key=lambda one: (_level(one, chance(one)), one.auc))
    levels = {name: _level(one, chance(one)) for name, one in alone.items()}
    suspicious = [one for name, one in alone.items() if levels[name] == 2]
    doubtful = [one for name, one in alone.items() if levels[name] == 1]
    best = sorted(alone.values(), key=lambda one: -one.auc)[:MOST_NAMED]
    rest = [i for i, column in enumerate(columns) if levels.get(column["name"], 0) < 2]
    rest.sort(key=lambda i: -alone[columns[i]["name"]].auc if columns[i]["name"] in alone else 0.0)
    pair = None
    while len(rest) > 1:
        pairs = [one for table in tables for one in table.pairs(rest, most_pairs)]
        top = max(pairs, key=lambda one: one.auc)
        pair = pair or top
        # a pair is news only if it tells more than its better column
        news = [one for one in pairs if one.auc >= MORE + max(_auc(alone, name) for name in one.columns)]
        new = max(news, key=lambda one: one.auc, default=None)
        if new is not None:
            new = next(table for table in tables if table.label == new.label).fewest(new, MORE)
        level = _level(new, chance(new)) if new else 0
        if new is None or level == 0:
            break
        if level == 1:
            doubtful.append(new)
            break
        suspicious.append(new)
        rest = [i for i in rest if columns[i]["name"] not in new.columns]
    if len(rest) > 2:
        everything = [(table, table.together(rest)) for table in tables]
        table, whole = max(everything, key=lambda found: found[1].auc)
        used = table.used_by_a_tree(rest)
        before = max([pair.auc if pair else 0.5, *(_auc(alone, columns[i]["name"]) for i in rest)])
        level = _level(whole, chance(whole)) if whole.auc >= before + MORE and len(used) > 2 else 0
        if level:
            names = tuple(columns[i]["name"] for i in sorted(used))
            (suspicious if level == 2 else doubtful).append(replace(whole, columns=names))
    likely = chance_level(*min((table.sides(everyone) for table in tables), key=min), looks)
    clear = {name for one in suspicious for name in one.columns}
    doubtful = [one for one in doubtful if not clear & set(one.columns)]
    return Findings(suspicious, doubtful, [*best, *([pair] if pair else [])], min(likely, 1.0), len(labelled))


def _level(found: Telling, chance: float) -> int:
    """Return 2 for what is left out, 1 for what is worth a look, else 0, also for what chance may reach."""
    if (found.auc <= min(chance, 1 - 1e-9) and chance < 1) or found.auc < chance:
        return 0
    leave_out = LEAST_AUC_FILLED if found.by == FILLED else LEAST_AUC
    if found.auc >= leave_out and sum(found.patients) >= FEWEST_TO_LEAVE_OUT:
        return 2
    return int(found.auc >= min(leave_out, WORTH_A_LOOK))


def _auc(alone: Mapping[str, Telling], name: str) -> float:
    return alone[name].auc if name in alone else 0.5
