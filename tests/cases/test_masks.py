# SPDX-License-Identifier: Apache-2.0
"""Masks of a case, one or one per phase, and the structures that their values name."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scripts.cases.masks import check_drawn, drawn_structures, drawn_values, open_mask, structure_names
from scripts.cases.read import read_cases
from scripts.files.processes import BadCases

PHASES, CLASSES = ["pre", "portal"], ["low", "high"]


def test_masks_of_the_used_phases_are_read_and_others_only_where_these_have_none(document, write, tmp_path):
    for case in ("a", "b"):
        for phase in PHASES:
            (tmp_path / case / f"{phase}_roi.nii.gz").touch()
    document["structures"] = ["wall", "cavity"]
    document["training"][0]["roi"] = {"portal": "a/portal_roi.nii.gz", "pre": "a/pre_roi.nii.gz"}
    document["training"][1]["roi"] = {"pre": "b/pre_roi.nii.gz", "portal": None}
    document["test"][0]["roi"] = {}
    cases = read_cases(write(document), PHASES, CLASSES)
    assert cases.structures == ["wall", "cavity"]
    assert list(cases.training[0]["roi"].items()) == [(p, str(tmp_path / f"a/{p}_roi.nii.gz")) for p in PHASES]
    assert cases.training[1]["roi"] == {"pre": str(tmp_path / "b/pre_roi.nii.gz")}
    assert (cases.validation[0]["roi"], cases.test[0]["roi"]) == (None, None)
    first, second = read_cases(write(document), ["portal"], CLASSES).training
    assert (list(first["roi"]), list(second["roi"])) == (["portal"], ["pre"])
    del document["structures"]
    assert read_cases(write(document), PHASES, CLASSES).structures == []


def test_a_mask_that_does_not_exist_is_named_with_its_phase(document, write):
    document["test"][0]["roi"] = {"pre": "e/none.nii.gz"}
    match = r"case e, roi of phase 'pre': .*none.nii.gz does not exist; restore it, or take the mask out of the case"
    with pytest.raises(BadCases, match=match):
        read_cases(write(document), PHASES, CLASSES)


def mask(path, values):
    voxels = np.zeros((6, 5, 4), np.float32)
    voxels.ravel()[: len(values)] = values
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return open_mask(str(path), "p017", "es")


def test_values_drawn_and_values_that_have_no_name(tmp_path, say):
    names = ["right ventricle", "myocardium", "left ventricle"]
    assert drawn_values(mask(tmp_path / "a.nii", [3, 1, 1]), names) == [1, 3]
    assert drawn_values(mask(tmp_path / "b.nii", []), names) == []
    assert drawn_values(mask(tmp_path / "c.nii", [0.5, 7]), []) == [1], "without names all above 0 is one structure"
    for values, found in (([0.5], "0.5"), ([-1], "-1"), ([4, 2, 9], "4, 9")):
        match = (
            r"^case p017: roi of phase 'es': the volume must hold 0 and the values 1 to 3 of `structures` \(right "
            rf"ventricle, myocardium, left ventricle\), found {found} in .*d.nii; name every value in `structures`"
        )
        with pytest.raises(ValueError, match=match) as raised:
            drawn_values(mask(tmp_path / "d.nii", values), names)
    say("Masks", "a value that `structures` does not name", raised.value)


def test_a_structure_that_no_training_case_shows(tmp_path, say):
    masks = {phase: str(mask(tmp_path / f"{phase}.nii", [value]).path) for phase, value in (("ed", 1), ("es", 3))}
    cases = [{"case": "a", "roi": masks}, {"case": "b", "roi": None}]
    assert drawn_structures(cases, [], 1) == {"a": {1}}
    assert drawn_structures(cases, ["wall", "cavity", "scar"], 1) == {"a": {1, 3}}
    match = r"structure 'cavity' \(value 2\) must be in the mask of at least one training case, found it in none of 1"
    with pytest.raises(ValueError, match=match) as raised:
        check_drawn({"a": {1, 3}}, ["wall", "cavity", "scar"])
    say("Masks", "a structure that no training case shows", raised.value)


def test_at_most_as_many_structures_as_a_byte_holds():
    assert len(structure_names([f"s{n}" for n in range(254)], "x")) == 254
    with pytest.raises(ValueError, match="x must be at most 254 names, found 255"):
        structure_names([f"s{n}" for n in range(255)], "x")
