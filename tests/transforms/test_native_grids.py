# SPDX-License-Identifier: Apache-2.0
"""Four MR sequences of two real patients, each on its own grid, come onto one grid and line up."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.region import WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd
from workbench.prepare.registration.cases import register_cases
from workbench.prepare.registration.pair import Registration

SEQUENCES = ["fla", "t1", "t1c", "t2"]
LEAST_DICE = {"TCGA-DU-7294": 0.95, "TCGA-FG-6692": 0.80}
"""Of the brains of two sequences. The second patient turned the head between T1 and T2."""
LEAST_REGISTERED = 0.96
"""The same of that patient once the sequences are registered."""


Brains = dict[str, tuple[np.ndarray, np.ndarray]]


def brains(files: dict[str, Path]) -> Brains:
    """Load the sequences onto one grid of 2 mm; return where each shows brain, and anything, [D, H, W]."""
    item = {"case": "p", "image": {phase: str(file) for phase, file in files.items()}}
    for transform in (
        LoadImagePhasesd(phases=SEQUENCES, reference="t1c"),
        WholeVolumeRegiond(),
        ResamplePhasesd(spacing=[2.0, 2.0, 2.0], size=[120, 128, 90]),
    ):
        item = transform(item)
    return {phase: ((volume > 0).numpy(), item["inside"][phase].numpy()) for phase, volume in item["image"].items()}


def dice(brain: Brains) -> dict[tuple[str, str], float]:
    """Return the Dice coefficient of each pair, of the points that both sequences show."""
    found = {}
    for a, b in combinations(brain, 2):
        both = brain[a][1] & brain[b][1]
        first, second = brain[a][0][both], brain[b][0][both]
        found[a, b] = 2 * float((first & second).sum()) / float(first.sum() + second.sum())
    return found


@pytest.fixture(params=LEAST_DICE)
def patient(request) -> str:
    return request.param


@pytest.fixture
def files(patient, test_data) -> dict[str, Path]:
    folder = test_data("tcia_glioma_4seq")
    return {phase: folder / f"{patient}_bet_native_{phase}.nii.gz" for phase in SEQUENCES}


def test_sequences_with_grids_of_their_own_line_up(patient, files):
    headers = {phase: nibabel.load(file).header for phase, file in files.items()}
    assert len({header.get_data_shape() for header in headers.values()}) > 1
    assert headers["t1"]["sform_code"] == 0
    found = dice(brains(files))
    print({"-".join(pair): round(value, 3) for pair, value in found.items()})
    assert min(found.values()) > LEAST_DICE[patient]


@pytest.mark.parametrize("fault", ["no position", "shifted by 25 mm", "front and back exchanged"])
def test_a_broken_header_shows(files, fault, tmp_path):
    image = nibabel.load(files["t1"])
    affine, middle = image.affine.copy(), (np.array(image.shape) - 1) / 2
    if fault == "no position":  # the spacing alone, centred: what nibabel takes where both codes are 0
        affine = np.diag([*image.header.get_zooms(), 1.0])
        affine[:3, 3] = -affine[:3, :3] @ middle
    elif fault == "shifted by 25 mm":
        affine[1, 3] += 25
    else:
        affine[:3, 3] += 2 * affine[:3, 1] * middle[1]
        affine[:3, 1] *= -1
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), affine), tmp_path / "t1.nii.gz")
    right, wrong = dice(brains(files)), dice(brains(files | {"t1": tmp_path / "t1.nii.gz"}))
    print(fault, {"-".join(pair): round(value, 3) for pair, value in wrong.items() if "t1" in pair})
    assert np.mean([right[pair] - wrong[pair] for pair in right if "t1" in pair]) > 0.05
    assert all(wrong[pair] < right[pair] for pair in right if "t1" in pair)
    assert all(wrong[pair] == right[pair] for pair in right if "t1" not in pair)


@pytest.mark.slow
@pytest.mark.parametrize("patient", ["TCGA-FG-6692"])
def test_registration_undoes_the_turn_of_the_head(files, tmp_path):
    case = {"case": "p", "image": {phase: str(file) for phase, file in files.items()}}
    (after,), _ = register_cases([case], SEQUENCES, "t1c", tmp_path, Registration("rigid"), workers=1)
    found = dice(brains({phase: Path(file) for phase, file in after["image"].items()}))
    print({"-".join(pair): round(value, 3) for pair, value in found.items()})
    assert min(found.values()) > LEAST_REGISTERED
