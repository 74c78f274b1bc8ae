# SPDX-License-Identifier: Apache-2.0
"""Trains the networks that outline what a classifier looks at, none of them on the patients that it outlines."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scripts.cases.masks import check_drawn, drawn_structures, masks_of, nothing_drawn
from scripts.cases.read import Cases
from scripts.cases.structures import named_values
from scripts.engines.network import load_trained
from scripts.engines.outlines import outline_path
from scripts.engines.running import bundle_folder
from scripts.engines.served import served_lists
from scripts.files import errors
from scripts.files.atomic import copy_atomically, write_text
from scripts.files.processes import is_first_process, wait_for_all
from scripts.transforms.outlined_region import ORIGIN
from scripts.transforms.region import asked, check_given_box
from scripts.volumes.fingerprint import content_hash
from scripts.volumes.label_map import read_label_map, sample_labels, united
from scripts.volumes.open import open_volume
from scripts.volumes.original_grid import save_nifti
from torch import nn

logger = logging.getLogger(__name__)

PREFIX = "outline_"
"""Keys of a classifier's configuration that begin so are keys of its outliner: `outline_spacing` its `spacing`."""
SHARED = (
    "phases", "reference_phase", "orientation", "intensity", "image_filter", "augmentation", "geometry",
    "device", "precision", "seed", "share_encoder", "structures", "masks", "empty_masks", "cache", "cache_dir",
)  # fmt: skip
"""Keys that both have."""
WHOLE = "all"
"""Name of the network of the whole training split."""


class Outliner:
    """Trains outliners where a classifier's training begins, and outlines its training cases.

    The training patients are parted into folds. The network of a fold is trained on the other folds, and outlines
    the cases of its own. One more network, of all training cases, becomes ``models/outline.pt``: it outlines
    whoever is not in the training split. All choose their checkpoint by the validation split.

    In the results folder it leaves ``outlines/<case>.nii.gz`` of the training cases, ``outlines/origin.json``
    (case -> fold, hash), and each training as a folder in ``outliner``. What a stopped training has finished is kept.

    Where a server started the training, the outliner of the bundle stays: it has not seen the labelled cases, or
    its outlines of those that it has seen lie beside it. A comparison has trained outliners for all its trainings,
    which have not seen the validation split either, see `workbench.compare.outlining`.

    Args:
        output_dir: results folder of the classifier.
        bundle_root: the bundle that trains.
        cases: of the classifier's dataset.json.
        config: configuration of the classifier; see `PREFIX` and `SHARED`.
        folds: number of folds, at least 2.
        trained: folder of such a comparison, with ``models/outline.pt``, ``outlines`` and ``outliner/data``.

    Raises:
        ValueError: fewer than 2 folds, or training patients than folds; a case without a mask, with an empty one, or
            with a value that `structures` does not name; a structure that no training case shows; a training case
            outlined by a network that saw its patient; a box or point outside of its scan.
    """

    def __init__(
        self,
        output_dir: str | Path,
        bundle_root: str | Path,
        cases: Cases,
        config: dict[str, Any],
        folds: int = 3,
        trained: str | Path | None = None,
    ) -> None:
        self.place = Path(output_dir)
        self.configs = bundle_folder(bundle_root) / "configs"
        self.cases = cases
        self.config = config
        self.folds = folds
        self.trained = None if trained is None else Path(trained)

    def run(self) -> None:
        """Train what is not trained yet, and gather weights and outlines."""
        if is_first_process():
            if self.trained is not None:
                self._keep(self.trained)
                check_unseen(self.place, [*self.cases.training, *self.cases.validation])
            elif served_lists(self.config) is None:
                self._train_all()
            else:
                self._keep(self.configs.parent)
        wait_for_all()

    def _keep(self, source: Path) -> None:
        """Copy an outliner that is there, and outlines of the cases that it must not outline."""
        copy_atomically(source / "models" / "outline.pt", self.place / "models" / "outline.pt")
        for part in ("outlines/*", "outliner/data/*/dataset.json"):
            for file in sorted(source.glob(part)):  # not by copytree, which hides that the disk is full
                copy_atomically(file, self.place / file.relative_to(source))

    def _train_all(self) -> None:
        parts = folds_of_patients([item["patient"] for item in self.cases.training], self.folds, self.config["seed"])
        if not str(self.config["outline_def"]["_target_"]).endswith(".SegmentationNetwork"):
            raise ValueError(
                "outline_def must be the SegmentationNetwork that `run segmenting` trains, found "
                f"{self.config['outline_def']['_target_']}; set outline_encoder, outline_fusion, outline_decoder and "
                "outline_width in its place"
            )
        self._check_cases()
        errors.on_interrupt(lambda: "stopped; --resume true goes on, and keeps the outliners that are trained")
        names = [f"fold_{number}" for number in range(1, self.folds + 1)]
        for name, part in zip(names, parts, strict=True):
            chosen = set(part)
            inside = [item for i, item in enumerate(self.cases.training) if i in chosen]
            others = [item for i, item in enumerate(self.cases.training) if i not in chosen]
            self._train(name, others, inside)
        self._train(WHOLE, self.cases.training, self.cases.test)
        weights = self.place / "outliner" / WHOLE / "models" / "model.pt"
        copy_atomically(weights, self.place / "models" / "outline.pt")
        drawn_by = {index: name for name, part in zip(names, parts, strict=True) for index in part}
        items = [(self.cases.training[index], name) for index, name in drawn_by.items()]
        gather_outlines(self.place, self.place / "outliner", items, self.config["reference_phase"])
        check_unseen(self.place, self.cases.training)

    def _check_cases(self) -> None:
        """Refuse masks and boxes that one of the trainings would refuse, before the first of them."""
        everybody = [*self.cases.training, *self.cases.validation, *self.cases.test]
        for item in everybody:
            if asked(item, "box") or asked(item, "point"):
                path = item["image"].get(self.config["reference_phase"]) or next(iter(item["image"].values()))
                check_given_box(item, open_volume(path, f"case {item['case']}: reference phase"))
        refuse_unmasked(everybody)
        structures = named_values(self.config["structures"])
        drawn = drawn_structures(everybody, structures)
        empty = [item for item in everybody if not drawn[str(item["case"])]]
        if empty and not self.config["empty_masks"]:
            raise ValueError(nothing_drawn(f"case {empty[0]['case']}", ", ".join(masks_of(empty[0]["roi"]).values())))
        check_drawn({str(item["case"]): drawn[str(item["case"])] for item in self.cases.training}, structures)

    def _train(self, name: str, training: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]]) -> None:
        """Train one network by a command of its own, unless that is done."""
        if (self.place / "outliner" / name / "metrics.json").is_file():
            return
        logger.info("outliner %s: trained on %d cases, outlines %d", name, len(training), len(test))
        splits = {"training": training, "validation": self.cases.validation, "test": test}
        content: dict[str, Any] = {"phases": self.cases.phases, "classes": self.cases.classes}
        content |= {"structures": list(self.cases.structures)}
        content |= {split: [self._entry(item) for item in items] for split, items in splits.items()}
        settings = write_outliner(self.place / "outliner", name, content, self.config)
        files = [self.configs / "train.yaml", self.configs / "segment.yaml", settings]
        line = [sys.executable, "-m", "monai.bundle", "run", "segmenting", "--config_file", str(list(map(str, files)))]
        process = subprocess.Popen([*line, "--bundle_root", str(self.configs.parent)])
        try:
            status = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if status:
            raise ValueError(f"the outliner {name} could not be trained, see above; correct it, and pass --resume true")

    def _entry(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return a case as dataset.json has it."""
        kept = {key: item[key] for key in ("case", "patient", "image", "roi") if item.get(key) is not None}
        return kept | ({"label": self.cases.classes[item["label"]]} if "label" in item else {})


def refuse_unmasked(cases: Sequence[Mapping[str, Any]]) -> None:
    """Refuse cases without a mask, which can neither teach nor test an outliner; the error names them."""
    lacking = [str(item["case"]) for item in cases if not masks_of(item.get("roi"))]
    if lacking:
        raise ValueError(
            f"an outliner learns from masks ('roi') and is measured on them, found none of {', '.join(lacking[:5])}"
            "; add them, or give each case a 'box' and use BoxRegiond"
        )


def write_outliner(place: Path, name: str, content: Mapping[str, Any], config: Mapping[str, Any]) -> Path:
    """Write what an outliner is trained with: ``data/NAME/dataset.json``, and ``settings.yaml`` beside it.

    Args:
        place: folder that receives the training as NAME.
        name: of the outliner.
        content: of dataset.json: phases, classes, structures and splits.
        config: configuration of the classifier; see `PREFIX` and `SHARED`.

    Returns:
        settings.yaml, an overlay for train.yaml and segment.yaml.
    """
    folder = place / "data" / name
    folder.mkdir(parents=True, exist_ok=True)
    content = {"name": name, "clinical": [], **content}
    write_text(folder / "dataset.json", json.dumps(content, indent=1) + "\n")
    settings = {key: config[key] for key in SHARED if key in config}
    own = {key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)}
    own = json.loads(json.dumps(own).replace(f"@{PREFIX}", "@"))
    settings |= {key: value for key, value in own.items() if key not in ("def", "network", "folds")}
    settings |= {"output_dir": str(place / name), "dataset_dir": str(folder), "name": name, "resume": True}
    return write_text(folder / "settings.yaml", yaml.safe_dump(settings, sort_keys=False))


def gather_outlines(
    place: Path, outliners: Path, items: Sequence[tuple[Mapping[str, Any], str]], reference: str
) -> None:
    """Copy the outlines of cases, of one per phase what any shows on the first one's voxels, and write who drew them.

    Args:
        place: results folder of a classifier.
        outliners: folder with the trainings of its outliners.
        items: cases, each with the name of the outliner that outlined it.
        reference: the reference phase.
    """
    origin = {}
    for item, name in items:
        case, target = str(item["case"]), outline_path(place, str(item["case"]))
        folder = outliners / name
        paths = [outline_path(folder, case), *(outline_path(folder, case, phase) for phase in item["image"])]
        found = [open_volume(str(path), f"case {case}: outline") for path in paths if path.is_file()]
        maps, affine = [read_label_map(volume) for volume in found], found[0].affine
        size, most = found[0].shape, int(max(one.max() for one in maps))
        others = (
            sample_labels(one, volume.affine, affine, size, most)[0]
            for one, volume in zip(maps[1:], found[1:], strict=True)
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        save_nifti(target, united([maps[0], *others]), affine)
        scan = item["image"].get(reference) or next(iter(item["image"].values()))
        origin[case] = {"fold": name, "sha256": content_hash(scan)}
    write_text(place / "outlines" / ORIGIN, json.dumps(origin, indent=2) + "\n")


def beside(model_file: str | Path | Sequence[str], name: str) -> str:
    """Return the path of what lies in the folder of a model: its results folder's `name`.

    Args:
        model_file: ``<folder>/models/model.pt``; of several models the first one's.

    >>> beside("results/mine/models/model.pt", "models/outline.pt")
    'results/mine/models/outline.pt'
    """
    first = model_file if isinstance(model_file, str | Path) else next(iter(model_file))
    return str(Path(first).parent.parent / name)


def trained_outliner(network: nn.Module, file: str | Path, device: torch.device | str) -> nn.Module:
    """Return an outliner with its weights, on its device, to be run and not trained.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: weights of another network.
    """
    load_trained(network, file)
    return network.to(device).eval().requires_grad_(False)


def folds_of_patients(patients: Sequence[str], folds: int, seed: int) -> list[list[int]]:
    """Part cases into folds of nearly as many patients, all cases of a patient in one.

    Returns:
        Indices of the cases of each fold.

    Raises:
        ValueError: fewer than 2 folds, or fewer patients than folds.

    >>> sorted(map(len, folds_of_patients(["a", "b", "a", "c", "d"], 2, seed=0)))
    [2, 3]
    """
    names = sorted(set(patients))
    if folds < 2 or len(names) < folds:
        raise ValueError(
            f"outline_folds must be at least 2 and at most the number of training patients, {len(names)}, found {folds}"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[which]: place % folds for place, which in enumerate(order)}
    return [[i for i, patient in enumerate(patients) if fold_of[patient] == fold] for fold in range(folds)]


def check_unseen(output_dir: str | Path, training: Sequence[Mapping[str, Any]]) -> None:
    """Refuse outlines of training cases by a network that saw their patients.

    Args:
        output_dir: results folder of a classifier with outliners.
        training: its training cases.

    Raises:
        ValueError: names the cases, and what outlined them.
    """
    place = Path(output_dir)
    record = json.loads((place / "outlines" / ORIGIN).read_text(encoding="utf-8"))
    refuse_seen(place / "outliner", {case: entry["fold"] for case, entry in record.items()}, training)


def refuse_seen(outliners: Path, origin: Mapping[str, str], cases: Sequence[Mapping[str, Any]]) -> None:
    """Refuse cases outlined by a network that was trained, or whose checkpoint was chosen, with their patients.

    Args:
        outliners: folder with ``data/NAME/dataset.json`` of each outliner.
        origin: case -> NAME of the outliner that outlined it.
        cases: that must not be seen.

    Raises:
        ValueError: as for `check_unseen`.
    """
    seen: dict[str, set[str]] = {}
    for name in set(origin.values()):
        content = json.loads((outliners / "data" / name / "dataset.json").read_text(encoding="utf-8"))
        seen[name] = {str(entry["patient"]) for split in ("training", "validation") for entry in content[split]}
    leaks = [
        f"{item['case']} (outlined by {origin.get(str(item['case']), 'nothing')})"
        for item in cases
        if str(item["patient"]) in seen.get(origin.get(str(item["case"]), ""), {str(item["patient"])})
    ]
    if leaks:
        raise ValueError(
            "cases must be outlined by networks that did not see their patients, found "
            f"{', '.join(leaks[:5])}{f' and {len(leaks) - 5} more' if len(leaks) > 5 else ''}; train the outliners anew"
        )
