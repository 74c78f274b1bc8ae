# SPDX-License-Identifier: Apache-2.0
"""DICOM that other programs got wrong: each input made by its script, read by the command."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from workbench.prepare.dicom.assign import assign_study
from workbench.prepare.dicom.convert import write_stack
from workbench.prepare.dicom.rules import read_rules
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

pytest.importorskip("pydicom", reason="pip install -r requirements-dicom.txt")


def phases_of(folder) -> dict:
    """Return the volumes that become phases."""
    studies, _ = find_studies(folder / "s")
    rules = read_rules(folder / "rules.yaml")
    return {one.phase: one.stack for study in studies for one in assign_study(study, rules) if one.phase}


def level(stack, folder) -> float:
    """Return the mean of the voxels of a volume."""
    return float(nibabel.load(write_stack(stack, folder / "volume.nii.gz")).get_fdata().mean())


@pytest.mark.parametrize("number", ["1", "2", "21", "23"])
def test_one_series_of_eight_slices_is_one_volume(number, awkward, tmp_path):
    found = phases_of(awkward(number))
    assert list(found) == ["arterial"]
    image = nibabel.load(write_stack(found["arterial"], tmp_path / "volume.nii.gz"))
    assert image.shape == (16, 16, 8)
    np.testing.assert_allclose(np.linalg.norm(image.affine[:3, :3], axis=0), [1, 1, 3], atol=1e-4)


def test_phases_keep_their_order_across_midnight(awkward):
    found = phases_of(awkward("3"))
    assert {phase: stack.first.number for phase, stack in found.items()} == {"pre": "3", "arterial": "4", "portal": "5"}


def test_linked_folders_are_read(awkward):
    studies, _ = find_studies(awkward("15") / "s")
    assert [study.patient_id for study in studies] == ["p1", "p2"]


def test_the_kind_of_image_is_shown_asked_for_and_never_chosen_by_chance(awkward, tmp_path, capsys):
    folder = awkward("17")
    assert phases_of(folder) == {}
    with pytest.raises(ValueError, match="at least one series"):
        prepare(Settings(folder / "s", "dicom", tmp_path / "out", rules=folder / "rules.yaml", dry_run=True))
    printed = capsys.readouterr().out
    assert "DERIVED/PRIMARY/OP/OP/DERIVED" in printed
    assert "water: 4 volumes of different image types fit (DERIVED/F, DERIVED/IP, DERIVED/OP, DERIVED/W)" in printed
    for word, above in (("w", 0), ("OP", 200), ("f*", 300)):
        (tmp_path / "rules.yaml").write_text(f"phases: {{x: {{image_type: '{word}', take: 1}}}}")
        (study,), _ = find_studies(folder / "s")
        (stack,) = [one.stack for one in assign_study(study, read_rules(tmp_path / "rules.yaml")) if one.phase]
        assert level(stack, tmp_path) == pytest.approx(level_of_the_first(folder, tmp_path) + above)


def level_of_the_first(folder, place) -> float:
    (place / "first.yaml").write_text("phases: {x: {image_type: W}}")
    (study,), _ = find_studies(folder / "s")
    (stack,) = [one.stack for one in assign_study(study, read_rules(place / "first.yaml")) if one.phase]
    return level(stack, place)


def test_a_b_value_in_the_makers_own_element_is_read(awkward):
    (study,), _ = find_studies(awkward("18") / "s")
    found = assign_study(study, read_rules(awkward("18") / "rules.yaml"))
    assert [(one.stack.first.b_value, one.phase) for one in found] == [(0, ""), (1000, "hbv")]


def test_the_values_of_a_ct_are_hounsfield_units_however_it_is_shown(awkward, tmp_path):
    from pydicom import dcmread

    found = phases_of(awkward("25"))["arterial"]
    voxels = nibabel.load(write_stack(found, tmp_path / "volume.nii.gz")).get_fdata()
    np.testing.assert_array_equal(voxels[:, :, 0].T, dcmread(found.first.file).pixel_array)


@pytest.mark.parametrize(("study", "patient"), [("latin", "Müller^X"), ("japanese", "Yamada^Tarou=山田^太郎")])
def test_a_report_shows_class_and_patient_in_any_script(study, patient, awkward, tmp_path):
    from pydicom import dcmread
    from workbench.predict.structured_report import write_report

    (found,), _ = find_studies(awkward("4") / study)
    rules = read_rules(awkward("4") / "rules.yaml")
    series = {one.phase: one.stack for one in assign_study(found, rules) if one.phase}
    assert sorted(series) == ["art", "pre"]
    prediction = {
        "case": "P-1",
        "class": "恶性",
        "probabilities": {"良性": 0.25, "恶性": 0.75},
        "model": {"name": "multiphase", "version": "0.1.0"},
        "clinical": {},
        "contributions": {},
    }
    report = dcmread(write_report(prediction, series, tmp_path / "report.dcm"))
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert str(report.PatientName) == patient
    assert "恶性" in str(report)
    assert "?" not in str(report.PatientName)
