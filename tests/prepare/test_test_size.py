# SPDX-License-Identifier: Apache-2.0
"""How much a test split will tell: Hanley and McNeil's width, in closed form and by simulation; calibration cases."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings
from workbench.prepare.summary import auc_width, patients_for_width, width_lines

from tests.prepare.test_identical import cohort


@pytest.mark.parametrize("auc", [0.7, 0.8, 0.9])
def test_the_width_is_that_of_simulated_tests(auc):
    """Of exponential scores, for which the formula is exact."""
    rng, positive, negative = np.random.default_rng(0), 15, 25
    rate = (1 - auc) / auc
    high = rng.exponential(1 / rate, (4000, positive, 1))
    low = rng.exponential(1.0, (4000, 1, negative))
    found = (high > low).mean(axis=(1, 2))
    assert found.mean() == pytest.approx(auc, abs=0.005)
    assert auc_width(auc, positive, negative) == pytest.approx(2 * 1.96 * found.std(), rel=0.04)


def test_the_patients_it_takes_are_the_fewest():
    for auc, share in ((0.7, 0.5), (0.9, 0.2)):
        needed = patients_for_width(auc, share)
        assert auc_width(auc, round(share * needed), needed - round(share * needed)) <= 0.1
        below = needed - 1
        assert auc_width(auc, round(share * below), below - round(share * below)) > 0.1


def test_preparing_says_it_of_patients_of_the_rarest_class():
    test = [{"case": f"c{n}", "patient": f"p{n // 2}", "label": "high" if n < 20 else "low"} for n in range(80)]
    (line,) = width_lines({"test": test}, ["low", "high"])
    width = ", ".join(f"{auc_width(auc, 10, 30):.2f}" for auc in (0.7, 0.8, 0.9))
    assert f"the test's 40 patients, 10 of them high, give a 95% interval of the AUC that is {width} wide" in line
    assert f"it takes {patients_for_width(0.7, 0.25)}, " in line
    assert width_lines({"test": test[:10]}, ["low", "high"]) == []
    assert width_lines({}, []) == []


def test_preparing_sets_cases_apart_and_tells_the_width(tmp_path, capsys):
    folder = cohort(tmp_path)
    file = prepare(
        Settings(
            folder / "in", "folders", folder, labels=folder / "labels.csv", calibration=0.25, allow_identical=True,
            quality=False, folds=2,
        )
    )  # fmt: skip
    cases = read_cases(file, ["pre"], ["high", "low"])
    assert {item["label"] for item in cases.calibration} == {0, 1}
    assert all(item["split"] == "calibration" for item in cases.calibration)
    fold = read_cases(folder / "folds" / "r1_f1", ["pre"], ["high", "low"])
    inside = {item["case"] for split in (fold.training, fold.validation, fold.test) for item in split}
    assert not inside & {item["case"] for item in cases.calibration}
    printed = capsys.readouterr().out
    assert "calibration" in printed
    assert "(Hanley and McNeil 1982)" in printed
