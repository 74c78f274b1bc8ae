# SPDX-License-Identifier: Apache-2.0
"""Phases of one dynamic series are told from sequences of scales of their own, by their values alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml
from workbench.prepare.phase_scale import phase_scales, propose_intensity, scale_text, share_scale
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

PHASES = ["first", "second", "third"]
TISSUES = np.array([0.0, 40.0, 100.0, 130.0, 180.0])  # air, and what a sequence shows of four tissues
UPTAKE = {"first": 0.0, "second": 0.9, "third": 0.6}  # of contrast medium, by the tissues that take it up
RNG = np.random.default_rng(0)


def body(phase: str, contrast: bool = False) -> np.ndarray:
    """Return a volume of blocks of tissue with noise, the same patient in each phase."""
    tissue = np.arange(20**3).reshape(20, 20, 20) // 50 % 5
    levels = TISSUES[[0, 3, 1, 4, 2]] if contrast else TISSUES  # what is dark in T1 is bright in T2
    values = levels[tissue] * (1 + UPTAKE[phase] * np.isin(tissue, [2, 3]) * (not contrast))
    return np.abs(values + RNG.normal(0, 4, tissue.shape))


def dynamic(case: int, phase: str) -> np.ndarray:
    """One sequence, repeated after contrast medium; the scanner's gain differs from case to case."""
    return body(phase) * 10.0 ** (case % 4 - 1)


def scaled(case: int, phase: str) -> np.ndarray:
    return dynamic(case, phase) * {"first": 0.3, "second": 1.0, "third": 3.0}[phase]


def own_gains(case: int, phase: str) -> np.ndarray:
    """Sequences whose gains are alike on the whole, but set anew for each volume."""
    return body(phase, contrast=phase == "third") * np.exp(RNG.normal(0, 0.8))


def shifted(case: int, phase: str) -> np.ndarray:
    """A rescale intercept in one phase: the same spread, elsewhere."""
    return body(phase) + 3000.0 * (phase == "second")


def quantitative(case: int, phase: str) -> np.ndarray:
    """A map in units of its own beside two weighted images."""
    return body(phase) * (1e-3 if phase == "third" else 1.0)


def one_unlike(case: int, phase: str) -> np.ndarray:
    """Two of three phases share a scale."""
    return dynamic(case, phase) * (6.0 if phase == "third" else 1.0)


def make(folder: Path, volume: Any, cases: int = 12, lacking: Any = lambda case, phase: False) -> list[dict[str, Any]]:
    found = []
    for case in range(cases):
        image = {}
        for phase in PHASES:
            if lacking(case, phase):
                continue
            path = folder / f"c{case:02d}" / f"{phase}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(volume(case, phase).astype(np.float32), np.diag([3, 3, 3, 1])), path)
            image[phase] = str(path)
        found.append({"case": f"c{case:02d}", "image": image})
    return found


@pytest.mark.parametrize(
    ("volume", "pair"),
    [(dynamic, None), (scaled, "third and first"), (own_gains, "phases"), (shifted, "second and"),
     (quantitative, "and third"), (one_unlike, "third and first")],
    ids=lambda given: getattr(given, "__name__", ""),
)  # fmt: skip
def test_phases_are_scaled_together_only_where_they_share_a_scale(tmp_path, volume, pair):
    rule, why = propose_intensity(make(tmp_path, volume), PHASES)
    assert rule["_target_"] == "scripts.transforms.ZScoreIntensityd"
    assert rule["joint"] is (pair is None)
    assert ("all phases share a scale" if pair is None else "differ in scale") in why
    assert pair is None or re.search(rf"{pair}|{' and '.join(reversed(pair.split(' and ')))}", why)


def test_the_figures_are_ratio_and_overlap_within_each_case(tmp_path):
    """Against a factor that is known, whatever gain each case has."""
    found = {(p.wide, p.narrow): p for p in phase_scales(make(tmp_path, scaled), PHASES)}
    plain = {(p.wide, p.narrow): p for p in phase_scales(make(tmp_path, dynamic), PHASES)}
    own = plain.get(("third", "first")) or plain["first", "third"]
    wide = found["third", "first"]
    assert wide.ratio == pytest.approx(10 * (own.ratio if ("third", "first") in plain else 1 / own.ratio), rel=0.05)
    assert wide.overlap < 0.2 < 0.4 < own.overlap
    assert wide.variation == pytest.approx(1, abs=0.05)
    assert wide.cases == 12


def test_too_few_cases_with_both_phases_are_said_to_be_too_few(tmp_path):
    """Each is then scaled by itself, which loses less than the other mistake."""
    cases = make(tmp_path, dynamic, lacking=lambda case, phase: phase == "third" and case != 5)
    scales = phase_scales(cases, PHASES)
    assert not share_scale(scales)
    assert "third and" in scale_text(scales) or "and third" in scale_text(scales)
    assert "too few cases to tell" in scale_text(scales)
    assert not share_scale(phase_scales([{"case": "a", "image": {"first": "nowhere"}}], PHASES))
    rule, why = propose_intensity(cases, ["first"])
    assert (rule["joint"], why) == (False, "no CT: mean and deviation of the region")


@pytest.mark.parametrize(("volume", "joint"), [(scaled, False), (dynamic, True)])
def test_preparing_says_why_on_the_screen_in_the_overlay_and_in_the_quality_page(tmp_path, capsys, volume, joint):
    cases = make(tmp_path, volume, cases=9)
    (tmp_path / "labels.csv").write_text(
        "case,label\n" + "".join(f"{case['case']},{'ab'[i % 2]}\n" for i, case in enumerate(cases))
    )
    prepare(Settings(layout="folders", source=tmp_path, labels=tmp_path / "labels.csv", output=tmp_path / "out"))
    printed, text = capsys.readouterr().out, (tmp_path / "out" / "data.yaml").read_text()
    overlay = yaml.safe_load(text)
    assert overlay["intensity"]["joint"] is joint
    assert overlay["phase_dropout_hides"] == "file"
    words = "all phases share a scale" if joint else "phases third and first differ in scale"
    (line,) = [line for line in printed.splitlines() if line.startswith("intensities: no CT: ")]
    assert words in line
    assert line.removeprefix("intensities: ") in text
    page = (tmp_path / "out" / "quality.html").read_text()
    assert "Scale of the phases" in page
    assert f"{words[0].upper()}{words[1:]}" in page
