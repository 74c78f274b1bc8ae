# SPDX-License-Identifier: Apache-2.0
"""Names of phases by pattern, in the layout `folders`."""

from __future__ import annotations

import json
import shlex

import pytest
from scripts.cases.folder import check_names, phase_of
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

NAMES = {"arterial": ["*art*", "ap"], "portal": ["*ven*", "pv*"]}


@pytest.fixture
def cohort(save_volume, tmp_path):
    spellings = [("AP", "pvp"), ("Late_Arterial", "venous"), ("p2_art", "PV"), ("ap", "portal")]
    rows = ["case,label"]
    for number in range(8):
        for name in spellings[number % 4]:
            save_volume(tmp_path / f"source/p{number}/{name}.nii.gz")
        save_volume(tmp_path / f"source/p{number}/t2.nii.gz")
        save_volume(tmp_path / f"source/p{number}/lesion.nii.gz")
        rows.append(f"p{number},{'ab'[number // 4]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def test_every_spelling_finds_its_phase(cohort, capsys):
    settings = {"labels": cohort / "labels.csv", "phase_names": NAMES}
    cases = read_cases(
        prepare(Settings(cohort / "source", "folders", cohort / "out", **settings)), list(NAMES), ["a", "b"]
    )
    items = {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}
    assert items["p1"]["image"] == {
        "arterial": str(cohort / "source/p1/Late_Arterial.nii.gz"),
        "portal": str(cohort / "source/p1/venous.nii.gz"),
    }
    assert all(list(item["image"]) == ["arterial", "portal"] for item in items.values())
    assert items["p0"]["roi"].endswith("p0/lesion.nii.gz")
    assert "image files that are no phase, left out: t2" in capsys.readouterr().out


def test_two_files_for_one_phase_and_two_phases_for_one_file(cohort, save_volume):
    settings = {"labels": cohort / "labels.csv", "phase_names": NAMES}
    extra = save_volume(cohort / "source/p0/early_art.nii.gz")
    with pytest.raises(ValueError, match=r"case p0: phase 'arterial' must be one file, found AP.nii.gz and early_art"):
        prepare(Settings(cohort / "source", "folders", cohort / "out", **settings))
    extra.rename(extra.with_name("art_or_ven.nii.gz"))
    with pytest.raises(ValueError, match=r"case p0: .*'art_or_ven' must fit one phase, found \[arterial, portal\]"):
        prepare(Settings(cohort / "source", "folders", cohort / "out", **settings))


def test_an_exact_name_goes_before_a_pattern():
    names = {"early": ["*p"], "arterial": ["ap"]}
    assert phase_of("AP", names, "") == "arterial"
    assert phase_of("Early", names, "") == "early"


@pytest.mark.parametrize("wrong", ["art", {}, {"a": []}, {"a": [1]}, {"a": [""]}, {"a: b": ""}, ["a"]])
def test_what_is_no_mapping_is_refused(wrong):
    with pytest.raises(ValueError, match=r"phase_names must be patterns per phase, e.g. {arterial:"):
        check_names(wrong)
    assert check_names({"a": "b*"}) == {"a": ["b*"]}


def test_names_that_a_configuration_would_change_are_refused_with_the_argument_for_them(save_volume, tmp_path):
    for number in range(8):
        for name in ("T1", "T2 fat#sat", "%pd"):
            save_volume(tmp_path / f"source/p{number}/{name}.nii.gz")
    (tmp_path / "labels.csv").write_text("case,label\n" + "".join(f"p{i},{'ab'[i // 4]}\n" for i in range(8)))
    settings = {"labels": tmp_path / "labels.csv", "quality": False}
    with pytest.raises(ValueError, match=r"found '%pd' .*, 'T2 fat#sat' \(e.g. 'T2 fatsat'\); rename") as caught:
        prepare(Settings(tmp_path / "source", "folders", tmp_path / "out", **settings))
    argument = json.loads(shlex.split(str(caught.value).rpartition("--phase_names ")[2])[0])
    assert argument == {"percent pd": ["?pd"], "T1": ["T1"], "T2 fatsat": ["T2 fat#sat"]}
    file = prepare(Settings(tmp_path / "source", "folders", tmp_path / "out", **settings, phase_names=argument))
    assert set(json.loads(file.read_text())["phases"]) == set(argument)
