# SPDX-License-Identifier: Apache-2.0
"""A user's mistake gets one line that names case, phase, file and remedy, and nothing half-written stays."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scripts.files.errors import message_of, show_one_line
from scripts.files.plain_text import is_plain
from workbench.prepare.layouts import find_layout

ROOT = Path(__file__).resolve().parents[2]


class Broken:
    """A copy of a dataset in which one thing is made wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document = json.loads((folder / "dataset.json").read_text())
        self.item = self.document["training"][0]
        self.phase = next(phase for phase in self.document["phases"] if phase in self.item["image"])

    @property
    def file(self) -> Path:
        return self.folder / self.item["image"][self.phase]

    def image(self, change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], key: str = "") -> None:
        file = self.folder / self.item["roi"] if key == "roi" else self.file
        volume = nibabel.load(file)
        voxels, affine = change(np.asarray(volume.dataobj).astype(np.float32), volume.affine.copy())
        nibabel.save(nibabel.Nifti1Image(voxels, affine), file)


def zero_spacing(broken: Broken) -> None:
    raw = broken.file
    volume = nibabel.load(raw)
    header = volume.header.copy()
    header["pixdim"][1:4] = 0
    header["sform_code"] = 1
    for row in ("srow_x", "srow_y", "srow_z"):
        header[row] = 0
    header["qform_code"] = 0
    voxels = np.asarray(volume.dataobj).astype(np.int16)
    import gzip

    header.set_data_dtype(np.int16)
    header["scl_slope"], header["scl_inter"], header["vox_offset"], header["magic"] = 1, 0, 352, b"n+1"
    with gzip.open(raw, "wb") as stream:
        stream.write(header.binaryblock + b"\0\0\0\0" + voxels.tobytes(order="F"))


CASES: dict[str, tuple[Callable[[Broken], object], str]] = {
    "missing file": (lambda b: b.file.unlink(), "{file}"),
    "truncated file": (lambda b: b.file.write_bytes(b.file.read_bytes()[:-2000]), "{file}"),
    "not an image": (lambda b: b.file.write_bytes(b"hello"), "{file}"),
    "phase elsewhere": (lambda b: b.image(lambda v, a: (v, a + np.array([[0, 0, 0, 900]] * 3 + [[0] * 4]))), "{case}"),
    "NaN voxels": (lambda b: b.image(lambda v, a: (np.where(v > v.mean(), np.nan, v), a)), "{file}"),
    "infinite voxels": (lambda b: b.image(lambda v, a: (np.where(v > v.mean(), np.inf, v), a)), "{file}"),
    "constant volume": (lambda b: b.image(lambda v, a: (np.full_like(v, 7), a)), "{case}"),
    "4D volume": (lambda b: b.image(lambda v, a: (np.stack([v, v], axis=-1), a)), "{file}"),
    "zero spacing": (zero_spacing, "{file}"),
    "unknown label": (lambda b: b.item.update(label="hihg"), "{case}.*hihg.*high"),
    "duplicate case": (lambda b: b.document["training"].append(b.item), "{case}"),
    "patient in two splits": (lambda b: b.document["test"][0].update(patient=b.item["patient"]), "{patient}"),
    "empty split": (lambda b: b.document.update(validation=[]), "validation"),
    "class absent from validation": (
        lambda b: b.document.update(validation=[i for i in b.document["validation"] if i["label"] == "low"]),
        "high.*validation",
    ),
    "empty mask": (lambda b: b.image(lambda v, a: (np.zeros_like(v), a), "roi"), "{case}"),
    "clinical value of the wrong type": (lambda b: b.item.update(clinical={"age": "old"}), "{case}.*age.*old"),
    "clinical value not in values": (lambda b: b.item.update(clinical={"sex": "X"}), "{case}.*sex.*X"),
    "unknown phase in a case": (lambda b: b.item["image"].update(portl="x.nii.gz"), "{case}.*portl.*portal"),
    "all phases missing": (lambda b: b.item.update(image={}), "{case}"),
}


def failing(bundle, folder: Path, tmp_path: Path, **overrides) -> str:
    """Train, and return the one line that says what is wrong."""
    output = tmp_path / "results" / "out"
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle("training", ["configs/train.yaml"], **({"output_dir": str(output)} | overrides))
    message = message_of(caught.value)
    assert message, f"no line for the user: {caught.value!r}"
    assert "\n" not in message
    assert not output.parent.exists(), "something was left behind"
    return message


@pytest.fixture
def broken(small_phantom, tmp_path) -> Broken:
    shutil.copytree(small_phantom, tmp_path / "data")
    return Broken(tmp_path / "data")


@pytest.mark.parametrize("mistake", CASES)
def test_mistake_in_the_data(mistake, broken, bundle, quick, tmp_path, say):
    import re

    spoil, expected = CASES[mistake]
    case, patient, file = broken.item["case"], broken.item["patient"], broken.file
    spoil(broken)
    (broken.folder / "dataset.json").write_text(json.dumps(broken.document))
    message = failing(bundle, broken.folder, tmp_path, **(quick | {"dataset_dir": str(broken.folder)}))
    pattern = expected.format(case=case, patient=patient, file=re.escape(file.name))
    assert re.search(pattern, message), message
    say("Images", mistake, message)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"max_epoch": 3}, "unknown key 'max_epoch'.*max_epochs"),
        ({"phases": ["pre", "arterial", "portel"]}, "portel.*portal"),
        ({"classes": ["low", "hi"]}, "high"),
        ({"dataset_dir": "/nowhere"}, "/nowhere"),
        ({"output_dir": "/proc/results"}, "/proc.*output_dir"),
        ({"grid_size": [2, 2, 2]}, r"at least .* voxels.*found \[2, 2, 2\]"),
        ({"selection_rule": "acc"}, "acc"),
        ({"freeze": ["encodr"]}, "encodr.*encoder"),
        ({"start_weights": "/nowhere.pt"}, "/nowhere.pt"),
        ({"optimizer#lerning_rate": 3}, "lerning_rate"),
    ],
)
def test_mistake_in_the_settings(overrides, expected, bundle, quick, small_phantom, tmp_path, say):
    import re

    message = failing(bundle, small_phantom, tmp_path, **(quick | overrides))
    assert re.search(expected, message), message
    say("Settings", ", ".join(f"`--{key} {value}`" for key, value in overrides.items()), message)


def test_weights_of_another_configuration_say_which_keys_differ(trained, bundle, quick, tmp_path, say):
    with pytest.raises(RuntimeError) as caught:
        bundle(
            "evaluating",
            ["configs/train.yaml", "configs/evaluate.yaml"],
            **(quick | {"bundle_root": str(trained), "output_dir": str(tmp_path / "out"), "grid_size": [24, 24, 24]}),
        )
    message = message_of(caught.value)
    assert "another configuration: grid_size ([16, 16, 16] against [24, 24, 24] here)" in message
    assert not (tmp_path / "out").exists()
    say("Weights and checkpoints", "weights of a model with another grid", message)


def test_the_files_of_a_model_without_its_folder_ask_for_it(trained, bundle, small_phantom, tmp_path):
    options = {"dataset_dir": str(small_phantom), "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError) as caught:
        bundle("inferring", [str(trained / "configs/inference.yaml")], bundle_root=str(ROOT), **options)
    assert message_of(caught.value).endswith(f"; pass --bundle_root {trained}")


def test_what_an_error_names_cannot_steer_the_terminal(capsys):
    with pytest.raises(ValueError, match="layout") as caught:
        find_layout("p\x1b[2J\u202e")
    show_one_line(ValueError, caught.value, None)
    printed = capsys.readouterr().err
    assert r"\x1b[2J\u202e" in printed
    assert is_plain(printed.replace("\n", ""))


@pytest.mark.slow
def test_the_command_line_prints_one_line(tmp_path):
    line = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", "configs/train.yaml"]
    done = subprocess.run(
        [*line, "--batch_sise", "4", "--output_dir", str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: unknown key 'batch_sise'" in done.stderr
    assert "did you mean 'batch_size'?" in done.stderr
    assert not (tmp_path / "out").exists()
