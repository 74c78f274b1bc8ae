# SPDX-License-Identifier: Apache-2.0
"""What a folder may hold besides the studies: damaged files are named, links lead nowhere or in circles."""

from __future__ import annotations

import os

import pytest
from scripts.files.processes import BadCases
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.dicom.stacks import stacks_of
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

pytest.importorskip("pydicom", reason="pip install -r requirements-dicom.txt")
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless


def test_folders_that_link_in_circles_are_read_once(write_dicom, tmp_path):
    write_dicom(tmp_path / "p" / "s")
    (tmp_path / "p" / "up").symlink_to("..", target_is_directory=True)
    (tmp_path / "p" / "s" / "own").symlink_to(".", target_is_directory=True)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (study,), notes = find_studies(tmp_path)
    assert [len(stack.slices) for series in study.series for stack in stacks_of(series)] == [6]
    assert "folders to which several links lead, read once: p/up and 1 more" in notes
    assert [note for note in notes if note.startswith("links")] == [
        "links that lead nowhere: a",
        "links that lead nowhere: b",
    ]


def test_images_without_a_study_are_told(write_dicom, tmp_path):
    for name in "ab":
        write_dicom(tmp_path / name, study="", series=f"1.{name}")
    studies, notes = find_studies(tmp_path)
    assert len(studies) == 2
    assert [note.startswith("images without a StudyInstanceUID, those of one") for note in notes] == [True]


def test_every_damaged_file_has_a_line_and_is_no_study(write_dicom, tmp_path):
    first, *_ = write_dicom(tmp_path / "s", heights=range(8))
    whole = first.read_bytes()
    names = ["cut0", "cut1", "noise0", "noise1", "empty0", "empty1"]
    for number in range(2):
        (tmp_path / f"cut{number}").write_bytes(whole[: 300 + number])  # ends in the file's own header
        (tmp_path / f"noise{number}").write_bytes(b"\0" * 128 + b"DICM" + os.urandom(300))
        (tmp_path / f"empty{number}").write_bytes(b"")
        (tmp_path / f"page{number}.html").write_text("no DICOM")
    studies, notes = find_studies(tmp_path)
    assert [study.patient_id for study in studies] == ["P1"]
    for name in names:
        assert sum(note.endswith(f": {name}") for note in notes) == 1
    assert "files that are no DICOM: page0.html and 1 more" in notes


def test_series_that_cannot_be_decoded_have_a_line_each(write_dicom, tmp_path):
    """And neither the output folder nor an empty one in it stays."""
    for number in range(3):
        for file in write_dicom(tmp_path / "in" / f"{number}", range(3), f"P{number}", f"9.{number}", f"9.{number}.1"):
            image = dcmread(file)
            image.file_meta.TransferSyntaxUID = JPEG2000Lossless
            image.PixelData = encapsulate([b"\xff\x4f\xff\x51"])
            image["PixelData"].is_undefined_length = True
            image.save_as(file)
    (tmp_path / "rules.yaml").write_text("phases: {t2: {}}")
    (tmp_path / "labels.csv").write_text("case,label\nP0,a\nP1,b\nP2,a\n")
    with pytest.raises(BadCases, match=r"^3 of 3 series cannot be used:") as raised:
        prepare(
            Settings(
                tmp_path / "in",
                "dicom",
                tmp_path / "out",
                rules=tmp_path / "rules.yaml",
                labels=tmp_path / "labels.csv",
            )
        )
    assert [line.split(":")[0] for line in raised.value.lines] == ["case_0001", "case_0002", "case_0003"]
    assert not (tmp_path / "out").exists()
