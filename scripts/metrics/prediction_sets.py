# SPDX-License-Identifier: Apache-2.0
r"""Prediction sets (conformal): the classes of a case that a model cannot rule out, at 80, 90 and 95%.

The score of class y is :math:`s(x, y) = 1 - p_y(x)` (LAC: Sadinle et al., Least ambiguous set-valued classifiers
with bounded error levels, JASA 2019). Among n calibration cases of other patients that trained and chose nothing
of the model, with the scores :math:`s_i` of their true classes, the class has the p-value

.. math:: \pi_y(x) = \frac{1 + \#\{i : s_i \ge s(x, y)\}}{n + 1}, \qquad C(x) = \{y : \pi_y(x) > \alpha\}

which is the set of all classes whose score is at most the :math:`\lceil (n + 1)(1 - \alpha) \rceil`-th smallest
:math:`s_i` (Angelopoulos and Bates, Conformal prediction: a gentle introduction, 2023, section 1). If new cases
come from where the calibration cases do, a set holds the true class with a probability of
:math:`\lceil (n + 1)(1 - \alpha) \rceil / (n + 1)`, on average over draws of the calibration cases; another
scanner or hospital breaks this. Per class (Mondrian; Vovk et al., Algorithmic learning in a random world, 2005,
section 4.5), the calibration cases of class y alone count for y, and the same holds within each class.

From K folds, each with its own model k (cross-conformal; Vovk, Cross-conformal predictors, 2015):
:math:`\pi_y(x) = (1 + \sum_k \#\{i \in F_k : s^k_i \ge s^k(x, y)\}) / (n + 1)`, for which :math:`1 - 2\alpha` is
certain and about :math:`1 - \alpha` usual.

Of ordered grades a set is an interval. There :math:`p_y` is replaced by :math:`q_y = \min(\max_{j \le y} p_j,
\max_{j \ge y} p_j)`, the smallest sequence above p that rises to its highest value and then falls: the grades
with :math:`q_y \ge t` are the smallest interval that holds those with :math:`p_y \ge t`. Calibration cases get the
same score, so that coverage is what it is without order. Where grades have limits of their own (per class, folds),
what lies between is added. (Sets that grow from the most probable grade instead: Lu et al., Improving trustworthiness
of AI disease severity rating in medical imaging with ordinal conformal prediction sets, MICCAI 2022.)
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scripts.files.atomic import write_atomically
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.volumes.fingerprint import content_hash

logger = logging.getLogger(__name__)

LEVELS = (0.8, 0.9, 0.95)  # 1 - alpha
FILE = "evidence.npz"  # beside model.pt
LARGEST = 64 * 2**20  # most bytes in such a file, unpacked
SOURCES = {
    "calibration": "the calibration split",
    "folds": "the test parts of the folds (cross-conformal)",
    "validation": "the validation split, approximate, since it chose the checkpoint",
}
"""Where calibration cases come from, in the order of preference after a file's own fold."""


def too_few(n: float, level: float) -> bool:
    """Return whether n calibration cases cannot exclude any class: n < ceil(1 / alpha) - 1.

    >>> [too_few(n, 0.9) for n in (8, 9)], [too_few(n, 0.95) for n in (18, 19)]
    ([True, False], [True, False])

    Raises:
        ValueError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of a prediction set must lie between 0 and 1, found {level!r}, e.g. 0.9")
    return (n + 1) * (1 - level) < 1 - 1e-9


def decision(inside: ArrayLike) -> str:
    """Return what a set [K] means: decided (one class), undecided (none or all), or narrowed (several).

    >>> decision([True, False]), decision([True, True]), decision([True, True, False])
    ('decided', 'undecided', 'narrowed')
    """
    found = np.asarray(inside, dtype=bool)
    return "decided" if found.sum() == 1 else "undecided" if found.all() or not found.any() else "narrowed"


def unimodal(probability: np.ndarray) -> np.ndarray:
    """Return the smallest values above probabilities [..., K] that rise to the highest one and then fall.

    >>> unimodal(np.array([0.2, 0.1, 0.4, 0.0, 0.3]))
    array([0.2, 0.2, 0.4, 0.3, 0.3])
    """
    from_above = np.flip(np.maximum.accumulate(np.flip(probability, axis=-1), axis=-1), axis=-1)
    return np.minimum(np.maximum.accumulate(probability, axis=-1), from_above)


@dataclass(frozen=True)
class Evidence:
    """Calibration cases of a model, or of each model of an ensemble of folds."""

    parts: Sequence[tuple[np.ndarray, np.ndarray]]  # per model: probabilities [n_k, K], index of the true class [n_k]
    source: str  # a key of `SOURCES`
    rounds: int = 1  # how often each case occurs in the parts together: repeats and seeds of the folds
    ordered: bool = False  # the classes are grades, and sets intervals of them

    def count(self, label: int | None = None) -> int:
        """Return the number of calibration cases, of one class or of all."""
        found = sum(len(y) if label is None else int((y == label).sum()) for _, y in self.parts)
        return found // self.rounds

    def p_values(self, probability: np.ndarray, by_class: bool = False) -> np.ndarray:
        """Return the p-value of each class of each case.

        Args:
            probability: [M, n, K], of each of the M models with a part of its own.
            by_class: compare with the calibration cases of the same class alone.

        Shape: [n, K].

        Raises:
            ValueError: another number of models or classes.
        """
        shape = (len(self.parts), self.parts[0][0].shape[1])
        if probability.ndim != 3 or (probability.shape[0], probability.shape[2]) != shape:
            raise ValueError(f"probabilities must be [{shape[0]}, n, {shape[1]}], found {list(probability.shape)}")
        at_least = np.zeros(probability.shape[1:])
        for (known, label), given in zip(self.parts, probability, strict=True):
            if self.ordered:
                known, given = unimodal(known), unimodal(given)
            scores = 1 - known[np.arange(len(label)), label]
            for k in range(shape[1]):
                own = np.sort(scores[label == k] if by_class else scores)
                at_least[:, k] += len(own) - np.searchsorted(own, 1 - given[:, k], side="left")
        n = np.array([self.count(k if by_class else None) for k in range(shape[1])])
        return (1 + at_least / self.rounds) / (n + 1)

    def sets(self, probability: np.ndarray, level: float, by_class: bool = False) -> np.ndarray:
        """Return which classes are in the set of each case, [n, K] bool; arguments as for `p_values`.

        By class, a class with too few calibration cases (`too_few`) is judged by all of them; where these are too few
        as well, every set is full.
        """
        full = too_few(self.count(), level)
        value = self.p_values(probability)
        if by_class:
            enough = [not too_few(self.count(k), level) for k in range(probability.shape[2])]
            value = np.where(enough, self.p_values(probability, by_class=True), value)
        inside = (value > 1 - level + 1e-9) | full
        return unimodal(inside) if self.ordered else inside

    @property
    def note(self) -> str:
        """Where the sets come from, e.g. ``40 cases of the calibration split``, and where they are too few."""
        few = [f"{level:.0%}" for level in LEVELS if too_few(self.count(), level)]
        told = f"{self.count()} cases of {SOURCES[self.source]}" + (
            "; sets are intervals of grades" if self.ordered else ""
        )
        return told + (f"; too few calibration cases ({self.count()}) for {', '.join(few)}" if few else "")

    def described(self, probability: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
        """Return the sets of one case as a dictionary for JSON: where they come from, and one entry per level."""
        listed = []
        for level in LEVELS:
            entry: dict[str, Any] = {"level": level}
            for name, by_class in (("", False), ("_by_class", True)):
                inside = self.sets(probability[:, None], level, by_class)[0]
                entry[f"set{name}"] = [one for one, there in zip(classes, inside, strict=True) if there]
                entry[f"decision{name}"] = decision(inside)
            listed.append(entry)
        return {"from": self.note, "approximate": self.source == "validation", "levels": listed}


def columns(evidence: Evidence, probability: np.ndarray, classes: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns of predictions.csv: set_80, class_set_80, ..., decision_90; probability [M, n, K]."""
    found: dict[str, list[str]] = {}
    for level in LEVELS:
        for name, by_class in (("set", False), ("class_set", True)):
            inside = evidence.sets(probability, level, by_class)
            found[f"{name}_{level * 100:.0f}"] = ["; ".join(np.array(classes, object)[row]) for row in inside]
    return found | {"decision_90": [decision(row) for row in evidence.sets(probability, 0.9)]}


def one_per_patient(cases: Sequence[str], patients: Sequence[str]) -> list[int]:
    """Return the index of one case of each patient, drawn with a fixed seed, in the order of the cases' names.

    With several cases of a patient the scores would not be exchangeable (Dunn et al., JASA 2023, section 3.3).
    """
    order = sorted(range(len(cases)), key=lambda i: cases[i])
    drawn = np.random.default_rng(0).permutation(order)
    chosen = {patients[i]: int(i) for i in drawn}
    return [i for i in order if chosen[patients[i]] == i]


def write_evidence(
    model_file: str | Path,
    probability: ArrayLike,
    label: ArrayLike,
    cases: Sequence[str],
    patients: Sequence[str],
    source: str,
    fold: str = "",
    ordered: bool = False,
) -> Path:
    """Write evidence.npz beside a weights file, and bind it to these weights by their SHA-256.

    It holds no names: of the cases only a hash, by which the models of an ensemble know that they share them.

    Args:
        probability, label: of the calibration cases, [n, K] and [n].
        source: a key of `SOURCES`; ``folds`` adds the cases of a model's own test part to what the file has.
        ordered: the classes are ordered grades; ``folds`` keeps what the file says.
        fold: of ``folds``, the repeat and seed of the comparison, to count how often cases occur.
    """
    chosen = one_per_patient(cases, patients)
    probability, label = np.asarray(probability, np.float64)[chosen], np.asarray(label, np.int64)[chosen]
    names = "\n".join(f"{cases[i]}\t{y}" for i, y in zip(chosen, label, strict=True))
    file = Path(model_file).with_name(FILE)
    content = {"weights_sha256": content_hash(model_file), "source": source}
    content |= {"cases_sha256": hashlib.sha256(names.encode()).hexdigest()}
    content |= {"ordered": "yes"} if ordered else {}
    arrays = {"probability": probability, "label": label, **{key: np.array(text) for key, text in content.items()}}
    if source == "folds":
        kept = read_evidence(model_file) or {}
        arrays = kept | {"fold_probability": probability, "fold_label": label, "fold": np.array(fold)}

    def write(temporary: Path) -> None:
        named: dict[str, Any] = arrays
        with temporary.open("wb") as stream:  # given a path, numpy would change its ending
            np.savez(stream, **named)

    return write_atomically(file, write)


AGAIN = "make it anew by `run evidencing` (docs/evaluation.md)"
UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What a damaged or planted file may raise."""


def stored_arrays(file: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an evidence.npz, whatever weights it is about; nothing in it is run.

    Raises:
        ValueError: it cannot be read, or is another file.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(one.file_size for one in archive.infolist()) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
        with np.load(file, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
        for part in ("", "fold_") if "fold" in found else ("",):
            values = as_probabilities(found[f"{part}probability"])
            as_labels(found[f"{part}label"], *values.shape)
        if str(found["source"]) not in SOURCES:
            raise ValueError(f"the source {str(found['source'])!r:.40}")
        return found | {name: found[name] for name in ("weights_sha256", "cases_sha256")}
    except UNREADABLE as error:
        raise ValueError(f"{file} must be what a training wrote, found {error}; delete it, or {AGAIN}") from None


def read_evidence(model_file: str | Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of evidence.npz beside a weights file; None where there is none.

    That of an exported model is bound to the model.pt beside both; weights of another name may be neighbours.

    Raises:
        ValueError: it cannot be read, or belongs to other weights than model.pt.
    """
    given, file = Path(model_file), Path(model_file).with_name(FILE)
    weights = given if given.suffix == ".pt" else given.with_name("model.pt")
    if not (file.is_file() and weights.is_file()):  # beside an exported model alone it is bound to nothing
        return None
    found = stored_arrays(file)
    if str(found["weights_sha256"]) != content_hash(weights):
        if weights.name != "model.pt":
            return None
        raise ValueError(f"{file} must belong to {weights.name} beside it, found that of other weights; {AGAIN}")
    return found


def evidence_of(model_file: str | Path | Sequence[str]) -> Evidence | None:
    """Return the calibration cases of a model or an ensemble, or None where prediction sets cannot be made.

    An ensemble of the folds of `comparing` has all their test parts; any other one the cases that its models share,
    with the mean of their probabilities.

    Raises:
        ValueError: as for `read_evidence`.
    """
    several = not isinstance(model_file, str | Path)
    found = [read_evidence(file) for file in ([model_file] if isinstance(model_file, str | Path) else model_file)]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    ordered = all("ordered" in one for one in known)
    if several and all("fold" in one for one in known):
        parts = [(one["fold_probability"], one["fold_label"]) for one in known]
        return Evidence(parts, "folds", len({str(one["fold"]) for one in known}), ordered)
    if len({str(one["cases_sha256"]) for one in known}) > 1:
        logger.info("no prediction sets: the models of this ensemble were calibrated on different cases")
        return None
    mean = np.mean([one["probability"] for one in known], axis=0)
    return Evidence([(mean, known[0]["label"])], str(known[0]["source"]), ordered=ordered)
