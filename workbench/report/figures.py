# SPDX-License-Identifier: Apache-2.0
"""The figures that a report can show, by the names of their files."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from scripts.figures.panels import NAMES
from workbench.report.contents import Contents

REPORTED: tuple[str, ...] = ()
TRAINING = ("training",)
STEERED = ("training", "validation")
LARGEST_HALF = 1200  # Width in pixels up to which a figure is legible on half a page


@dataclass(frozen=True)
class Known:
    """A figure that a folder may hold.

    Attributes:
        of: splits of the training whose cases it shows; REPORTED stands for the reported split.
    """

    file: str  # name of the PNG
    title: str
    caption: str  # one sentence on what to look for
    of: tuple[str, ...] = REPORTED


CURVES = Known(
    "learning_curves.png",
    "Learning curves",
    "Training (dashed) that improves while validation does not is overfitting; the mark is the chosen "
    "checkpoint. Training scores are of augmented cases, while the network learned from them.",
    STEERED,
)
KNOWN = (
    Known(
        "roc.png",
        "ROC curve",
        "The further the curve bends to the upper left, the better the model ranks the cases; the band is "
        "the 95% interval, the diagonal is guessing.",
    ),
    Known(
        "precision_recall.png",
        "Precision and recall",
        "Of the cases called positive, the share that is; compare with the dashed line, which guessing reaches.",
    ),
    Known(
        "confusion_matrix.png",
        "Confusion matrix",
        "Rows are true classes: look for the largest number off the diagonal, the classes that are taken for "
        "each other.",
    ),
    Known(
        "reliability.png",
        "Reliability",
        "On the diagonal a probability means what it says; below it the model is too sure of itself. Bins "
        "with few cases scatter.",
    ),
    Known(
        "decision_curve.png",
        "Decision curve",
        "Acting on the model is worth it at thresholds where its curve lies above those of treating every "
        "case and none.",
    ),
    Known(
        "missing_phases.png",
        "Missing phases",
        "How much is lost where phases are missing: compare each pattern with the one that has all phases, "
        "and mind its number of cases.",
    ),
    Known(
        "robustness.png",
        "Faults of the image",
        "How fast the AUC falls as a fault grows, from hardly visible to gross: compare with the dotted line, the "
        "images as they are. docs/evaluation.md says what the strengths are.",
    ),
    Known(
        "phase_weights.png",
        "Weights of the phases",
        "Which phases the fusion listens to; a weight near zero throughout means that a phase is hardly "
        'used. "All together" is a level that fuses all phases before it decides.',
    ),
    Known(
        "attention.png",
        "Attention between the phases",
        "A row attends to the columns: which phase is read in the light of which, in all cases and per class.",
    ),
    Known(
        "features_pca.png",
        "Features, principal components",
        "One point per case: the network can tell classes apart that lie apart; a case among those of another "
        "class is worth a look.",
    ),
    Known(
        "features_tsne.png",
        "Features, t-SNE",
        "One point per case: look for groups, e.g. by site; distances between groups and their sizes mean nothing.",
    ),
    Known(
        "worst_errors.png",
        "Worst errors",
        "The cases that were wrong with the highest confidence: look for a wrong label, a wrong region or an "
        "image fault.",
    ),
    CURVES,
    Known(
        "first_batch.png",
        "First training cases",
        "What the network sees, after augmentation: the lesion must be in every image, and all phases of a "
        "case must show the same place. Phases hidden in training are there; the network learns to do "
        "without.",
        TRAINING,
    ),
)
"""Of a model that classifies."""
OUTLINES = (
    Known(
        "outlines.png",
        "Outlines of the best, a middle and the worst case",
        "Solid is what the network outlined, dashed what the expert drew: where do they part, and could the network "
        "have known? Among equals the worst case says most.",
    ),
    Known(
        "dice.png",
        "Overlap in all cases",
        "Each point is a case: points far below the box are cases in which the outline failed.",
    ),
    Known(
        "froc.png",
        "FROC curve",
        "The surest pieces come first: the further the curve bends to the upper left, the more lesions are found for "
        "the same number of false positives.",
    ),
    CURVES,
    Known(
        "first_batch.png",
        "First training patches",
        "What the network sees, after augmentation: about two of three patches show a structure, and all phases of a "
        "patch must show the same place.",
        TRAINING,
    ),
)
"""Of a model that outlines."""
OUTLINED = Known(
    "outlined_cases.png",
    "From the scan to the class",
    "Above the scan with what was outlined, below what the classifier looks at: does the outline hold what the class "
    "is about?",
)
"""Of a model that classifies what a network outlines; see `workbench.report.outlined`."""


@dataclass(frozen=True)
class Figure:
    """A figure in the report.

    Attributes:
        width, height: in pixels.
    """

    title: str
    caption: str  # what to look for
    n: str
    names: dict[str, str]  # name as drawn -> full name, where it is shortened or no font draws it
    source: str  # the picture as a data: URI
    width: int
    height: int

    @property
    def broad(self) -> bool:
        """Whether it needs the whole width of the page, since its text would be too small at half the width."""
        return self.width > LARGEST_HALF or self.width > 1.5 * self.height


def figures(contents: Contents) -> list[Figure]:
    """Return the known figures that the folder holds, in their order, without files that are no PNG."""
    known = OUTLINES if contents.outlines else KNOWN
    return [found for one in known if (found := figure_of(contents, one)) is not None]


def figure_of(contents: Contents, known: Known) -> Figure | None:
    """Return a figure of the folder, None where there is none."""
    n = contents.cases if known.of == REPORTED else _training_cases(contents, known.of)
    return picture_of(contents.folder / known.file, known.title, known.caption, n)


def picture_of(file: Path, title: str, caption: str, n: str) -> Figure | None:
    """Return a PNG as a figure of a page, None where it is missing or no PNG."""
    data = file.read_bytes() if file.is_file() else b""
    if not data.startswith(b"\x89PNG\r\n") or len(data) <= 24:
        return None
    width, height = struct.unpack(">II", data[16:24])  # pixels, from the first chunk of a PNG
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    return Figure(title, caption, n, _names(data), source, width, height)


def _names(png: bytes) -> dict[str, str]:
    """Return the names that `save_figure` wrote into a PNG; {} if there are none or they cannot be read."""
    from PIL import Image

    try:
        with Image.open(BytesIO(png)) as picture:
            found = json.loads(getattr(picture, "text", {}).get(NAMES, "{}"))
    except (OSError, ValueError, SyntaxError):
        return {}
    return {str(shown): str(name) for shown, name in found.items()} if isinstance(found, dict) else {}


def _training_cases(contents: Contents, of: tuple[str, ...]) -> str:
    splits = contents.trained_on.get("splits", {})
    if "training" not in splits:
        return "n not known, as the training data are not available"
    return ", ".join(f"n = {splits[name]['cases']:,} {name} cases" for name in of if name in splits)
