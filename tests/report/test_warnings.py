# SPDX-License-Identifier: Apache-2.0
"""Each warning is planted: it appears with its number, and nothing else does. Clean data give none."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from workbench.report.contents import read_contents
from workbench.report.report import cautions_about

from .conftest import record


def edit(file: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def metrics(change: Callable[[dict], object]) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "metrics.json", change)


def macro(**values) -> Callable[[Path], None]:
    return metrics(lambda found: found["macro"].update(values))


def regions(**found) -> Callable[[Path], None]:
    facts = {"cases": 900, "cropped": [], "left_out": {}} | found
    return lambda folder: edit(folder / "evaluation.json", lambda content: content.update(regions=facts))


def calibration(**values) -> Callable[[Path], None]:
    return metrics(lambda found: found.update(calibration={**(found["calibration"] or {}), **values}))


def git(name: str, value: dict) -> Callable[[Path], None]:
    return lambda folder: edit(folder / name, lambda found: found.update(git=value))


def dataset(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Change dataset.json, and evaluate again."""

    def plant(folder: Path) -> None:
        data = folder.parent / "data"
        edit(data / "dataset.json", change)
        record(folder, data)

    return plant


def cases(change: Callable[[int, dict], object]) -> Callable[[Path], None]:
    """Change the training's cases one by one."""
    return dataset(lambda found: [change(i, case) for i, case in enumerate(found["training"])])


def no_portal(i: int, case: dict) -> None:
    if i % 3 == 0 and "pre" in case["image"]:
        case["image"].pop("portal", None)


def no_portal_of_high(i: int, case: dict) -> None:
    if i % 4 == 1 and case["label"] == "high" and "pre" in case["image"]:
        case["image"].pop("portal", None)


def all_low_at_c(i: int, case: dict) -> None:
    if i % 7 == 0 and case["label"] == "low":
        case["site"] = "C"


def drop(folder: Path) -> None:
    text = (folder / "learning_curves.csv").read_text().splitlines()
    text[2] = "2.0,0.99,0.6,1.0"
    (folder / "learning_curves.csv").write_text("\n".join(text) + "\n")


def undefined(found: dict) -> None:
    found["per_class"][0] |= {"auc": None, "note": "no case of class low: AUC is undefined"}


def uncalibrated(folder: Path) -> None:
    config = yaml.safe_load((folder / "configs" / "train.yaml").read_text()) | {"calibrate": False}
    (folder / "configs" / "train.yaml").write_text(yaml.safe_dump(config))
    edit(folder / "metrics.json", lambda found: found["calibration"].update(temperature=1.0))


def gone(folder: Path) -> None:
    (folder / "evaluation.json").unlink()
    shutil.rmtree(folder.parent / "data")


def elsewhere(folder: Path) -> None:
    """Evaluate on another dataset, which declares a further class and names its second phase otherwise."""
    other = folder.parent / "other"
    shutil.copytree(folder.parent / "data", other)

    def change(found: dict) -> None:
        found["classes"].append("unclear")
        found["phases"].append("late")
        for case in found["test"]:
            case["image"] = {"pre": "a.nii.gz"}

    edit(other / "dataset.json", change)
    shutil.copytree(folder, folder / "evaluation")
    record(folder / "evaluation", other, model=folder)


def no_labels(folder: Path) -> None:
    (folder / "metrics.json").unlink()


def without_clinical_values(folder: Path) -> None:
    """Half of the predicted cases lack one column, few the other one."""
    lines = (folder / "predictions.csv").read_text().splitlines()
    had = ["age; psa"] + ["age", "age; psa"] * len(lines)
    rows = [f"{line},{there},{'psa' if there == 'age' else ''}" for line, there in zip(lines[1:], had, strict=False)]
    rows[0] = f"{lines[1]},psa,age"
    text = "\n".join([f"{lines[0]},clinical,clinical_missing", *rows])
    (folder / "predictions.csv").write_text(text + "\n")


def untold(folder: Path) -> None:
    for name in ("environment.json", "evaluation.json"):
        edit(folder / name, lambda found: found.update(git={"revision": None, "dirty": None}))


def unlike(folder: Path) -> None:
    """Evaluate a model of a joint rule on phases of which one has the scale of the other ten times."""
    file = folder / "configs" / "train.yaml"
    rule = {"_target_": "scripts.transforms.ZScoreIntensityd", "keys": "image", "joint": True}
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"intensity": rule}))
    data, random = folder.parent / "data", np.random.default_rng(0)
    for name, scale in (("a", 1.0), ("b", 10.0)):
        image = nibabel.Nifti1Image((scale * random.random((4, 5, 6))).astype(np.float32), np.diag([-2, 1, 3, 1]))
        nibabel.save(image, data / f"{name}.nii.gz")

    def change(found: dict) -> None:
        for split in ("training", "validation", "test"):
            for case in found[split]:
                case["image"] = {name: "b.nii.gz" if name == "portal" else "a.nii.gz" for name in case["image"]}

    edit(data / "dataset.json", change)
    record(folder, data)


DIRTY = {"revision": "0123456789abcdef", "dirty": True}
PLANTED: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "few cases": (
        metrics(lambda found: found["per_class"][1].update(n_positive=9)),
        [r"Classes with fewer than 10 cases in the test split: high has 9 cases\."],
    ),
    "undefined": (metrics(undefined), [r"undefined: no case of class low"]),
    "guessing": (macro(auc_interval=[0.49, 0.65]), [r"AUC begins at 0\.490", r"AUC falls from"]),
    "the most frequent class": (
        macro(accuracy_interval=[0.4, 0.59]),
        [r"accuracy begins at 0\.400; always naming the most frequent class gives 0\.5", r"accuracy falls"],
    ),
    "wide interval": (macro(auc_interval=[0.7, 0.95]), [r"AUC is 0\.250 wide, from 0\.700 to 0\.950\."]),
    "drop": (drop, [r"AUC falls from 0\.990 on the validation split to 0\.8\d\d on the test split"]),
    "no temperature": (
        metrics(lambda found: found.update(calibration=None)),
        [r"not calibrated \(expected calibration error 0\.\d{3}\)"],
    ),
    "calibration made it worse": (
        calibration(temperature=0.5, log_loss_before=0.5, log_loss_after=0.6, brier_before=0.2, brier_after=0.2),
        [r"Calibration made the probabilities of the test split worse: log loss from 0\.500 to 0\.600"],
    ),
    "calibration error became larger": (
        calibration(temperature=2.0, ece_before=0.02, ece_after=0.03),
        [r"split worse: expected calibration error from 0\.020 to 0\.030"],
    ),
    "no temperature told": (calibration(temperature=1.0), [r"No temperature was fitted: the validation split"]),
    "calibrate false": (uncalibrated, [r"not calibrated"]),
    "calibration error": (macro(ece=0.2, ece_interval=[0.11, 0.25]), [r"is 0\.200, 95% interval 0\.110"]),
    "missing phase": (cases(no_portal), [r"portal is missing in 120 of 400 cases of the training split \(30%\)"]),
    "unevenly missing": (
        cases(no_portal_of_high),
        [r"portal is missing unevenly between the classes: 0 of \d+ low, \d\d of \d+ high\."],
    ),
    "joint rule, unlike phases": (
        unlike,
        [r"The intensity rule is joint, but phases portal and pre differ in scale \(.* spreads (9|10)\."],
    ),
    "one class at a site": (cases(all_low_at_c), [r"All \d\d cases of site C are of class low\."]),
    "clinical values": (without_clinical_values, [r"missing in many of the (\d+) reported cases: psa in \d+\.$"]),
    "pieces of masks": (
        regions(left_out={"p7": 0.483, "p9": 0.001}),
        [r"several pieces in 2 of 900 cases, .* left out, of the mask's volume: p7 \(48%\), p9 \(< 1%\)\."],
    ),
    "cropped": (regions(cropped=["p3"]), [r"larger than the grid and is cropped in 1 of 900 cases: p3\."]),
    "data gone": (gone, [r"could not be read: dataset folder .* does not exist"]),
    "training cases": (
        lambda folder: edit(folder / "evaluation.json", lambda found: found.update(split="training")),
        [r"The 400 reported cases of the training split fitted the weights\."],
    ),
    "dirty training": (git("environment.json", DIRTY), [r"of the training differed .* 0123456789\."]),
    "dirty evaluation": (git("evaluation.json", DIRTY), [r"of the evaluation differed"]),
    "no revision": (untold, [r"No git revision"]),
    "no labels": (no_labels, [r"No case of the test split has a known class"]),
}


@pytest.fixture
def planted(clean, tmp_path) -> Path:
    """A copy of the clean folder, with its dataset, to plant something into."""
    shutil.copytree(clean.parent, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "results"
    for name in ("configs/train.yaml", "evaluation.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(str(clean.parent), str(tmp_path)))
    return folder


def found_in(folder: Path) -> list[str]:
    return [caution.found for caution in cautions_about(read_contents(folder))]


def test_clean_data_give_no_warning(clean, planted):
    assert found_in(clean) == []
    assert found_in(planted) == []


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_and_nothing_else(name, planted):
    plant, expected = PLANTED[name]
    plant(planted)
    found = found_in(planted)
    assert [one for one in found if not any(re.search(pattern, one) for pattern in expected)] == []
    assert [pattern for pattern in expected if not any(re.search(pattern, one) for one in found)] == []


def test_another_dataset_is_compared_with_that_of_the_training(planted):
    elsewhere(planted)
    found = "\n".join(found_in(planted / "evaluation"))
    assert "declares the classes low, high, unclear; that of the training low, high." in found
    assert "declares the phases pre, portal, late; that of the training pre, portal." in found
    assert "None of the 400 reported cases has the phase portal." in found
    assert found_in(planted) == []


def test_every_warning_says_what_to_make_of_it(planted):
    for plant, _ in PLANTED.values():
        if plant not in (gone, no_labels, uncalibrated):
            plant(planted)
    cautions = cautions_about(read_contents(planted))
    assert len(cautions) > 10
    assert all(caution.advice.endswith(".") and caution.found.endswith(".") for caution in cautions)
