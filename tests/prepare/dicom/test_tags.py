# SPDX-License-Identifier: Apache-2.0
"""What single tags mean: b-values of the makers, real world values."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.dicom.stacks import stacks_of
from workbench.prepare.dicom.table import remarks_of


def stacks(folder: Path):
    studies, _ = find_studies(folder)
    return [stack for study in studies for series in study.series for stack in stacks_of(series)]


@pytest.mark.parametrize(
    ("creator", "tag", "vr", "stored"),
    [
        ("SIEMENS MR HEADER", 0x0019_100C, "IS", "800"),
        ("Philips Imaging DD 001", 0x2001_1003, "FL", 800.0),
        ("GEMS_PARM_01", 0x0043_1039, "IS", ["1000000800", "8", "0", "0"]),
    ],
)
def test_a_makers_b_value_counts_under_its_own_creator_alone(creator, tag, vr, stored, write_dicom, tmp_path):
    from pydicom import dcmread

    group, element = tag >> 16, tag & 0xFF
    for folder, name in (("own", creator), ("other", "SOMEBODY ELSE")):
        for file in write_dicom(tmp_path / folder, heights=[0, 3, 6, 9]):
            image = dcmread(file)
            image.private_block(group, name, create=True).add_new(element, vr, stored)
            image.save_as(file)
    assert [stack.first.b_value for stack in stacks(tmp_path / "own")] == [800]
    assert [stack.first.b_value for stack in stacks(tmp_path / "other")] == [None]


@pytest.mark.parametrize("name", ["*ep_b{}t", "*re_b{}", "ez_b{}#1"])
def test_the_name_of_a_sequence_may_hold_the_b_value(name, write_dicom, tmp_path):
    write_dicom(tmp_path, heights=[0, 3, 6] * 2, SequenceName=lambda n: name.format([50, 1400][n // 3]))
    assert [stack.part for stack in stacks(tmp_path)] == ["b 50", "b 1400"]


@pytest.mark.parametrize("slopes", [(1e-6, 1e-6), (1e-6, 2e-6)])
def test_real_world_values_are_told_and_never_mixed(slopes, write_dicom, tmp_path):
    from pydicom.dataset import Dataset

    def mapping(n: int) -> list:
        unit, item = Dataset(), Dataset()
        unit.CodeValue = "mm2/s"
        item.RealWorldValueSlope, item.MeasurementUnitsCodeSequence = slopes[n % 2], [unit]
        return [item]

    write_dicom(tmp_path, RealWorldValueMappingSequence=mapping)
    (stack,) = stacks(tmp_path)
    if slopes[0] == slopes[1]:
        assert "that 1 of them is 1e-06 mm2/s, as its header says, is not applied" in remarks_of(stack)[0]
    else:
        assert stack.refused == "images in different real world values: 1e-06 mm2/s, 2e-06 mm2/s"
