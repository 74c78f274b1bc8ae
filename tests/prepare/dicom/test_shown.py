# SPDX-License-Identifier: Apache-2.0
"""What the screen shows of many studies: what was left out comes first, and no name of a patient."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

RULES = "phases:\n  pre: {description: native}\n  portal: {description: portal*}\n"


@pytest.fixture
def export(write_dicom, tmp_path) -> Path:
    """Eight patients in folders with their names; of two a series is truncated or has a gap."""
    for number, name in enumerate(
        ["Müller^Jürgen", "Li^Wei", "Anonymous", "PX-4", "Roe^Jane", "Doe^John", "Ono^Yu", "Xu^Bo"]
    ):
        words = name.replace("ü", "ue").upper().split("^")
        patient = "ROE_JANE" if number == 4 else f"id{number}"
        for place, phase in enumerate(("native", "portal")):
            heights = [0, 1, 2, 5, 6, 7] if (number, place) == (5, 1) else range(6)
            files = write_dicom(
                tmp_path / "in" / "_".join([*words, "1950-01-01"]) / phase,
                heights, patient, f"9.{number}", f"9.{number}.{place}",
                SeriesDescription=f"{phase} {words[-1]}" if place else phase, prefix=f"{''.join(words)}_",
                PatientName=name, SpecificCharacterSet="ISO_IR 100", SeriesNumber=place,
            )  # fmt: skip
            if (number, place) == (0, 1):
                files[2].write_bytes(files[2].read_bytes()[:-40])
    (tmp_path / "in" / "MUELLER_JUERGEN_1950-01-01" / "empty.dcm").write_bytes(b"")
    (tmp_path / "rules.yaml").write_text(RULES)
    rows = [f"{'ROE_JANE' if number == 4 else f'id{number}'},{'ab'[number % 2]}" for number in range(8)]
    (tmp_path / "labels.csv").write_text("\n".join(["case,label", *rows, "Xu Bo,a"]))
    return tmp_path


def run(folder: Path, **settings):
    given = {"rules": folder / "rules.yaml", "labels": folder / "labels.csv"}
    return prepare(Settings(folder / "in", "dicom", folder / "out", **given | settings))


def test_what_a_rule_names_and_is_left_out_comes_first_and_is_counted(export, capsys):
    run(export, dry_run=True)
    printed = capsys.readouterr().out
    above, below = printed.split("all others:")
    assert above.startswith("\nleft out, though a rule names them:\nstudy ")
    assert above.count("truncated pixels") == above.count("a slice is missing") == 1
    assert len(above.strip().splitlines()) == 4
    assert below.count("-> ") == 14
    assert (
        "warning: 2 volumes in 2 of 8 studies were left out, though a rule names them; they stand at the top "
        "of the "
        "table. Found in studies: pre 8, portal 6, of 8\n" in printed
    )


@pytest.mark.parametrize("keep_ids", [False, True])
def test_no_name_is_printed_or_written(keep_ids, export, capsys):
    run(export, keep_ids=keep_ids)
    printed = capsys.readouterr().out
    page = (export / "out" / "quality.html").read_text()
    written = [file.read_text() for file in (export / "out").rglob("*") if file.suffix in (".json", ".yaml", ".html")]
    paths = [str(file.relative_to(export)) for file in (export / "out").rglob("*")]
    for text in [printed.replace(str(export), ""), *written, *paths]:
        for word in ["müller", "mueller", "jürgen", "juergen", "li_wei", "liwei", "roe", "john", "xu_bo"] + [
            "xu bo",
            "1950-01-01",
        ]:
            assert word not in text.lower().replace(str(export).lower(), ""), word
    assert "(name)" in printed
    assert "empty files: (name)_(birth)/empty.dcm" in printed
    assert "PX-4" in printed  # no name, but a pseudonym
    left = ["id0", "id5"] if keep_ids else ["case_0002", "case_0006"]
    told = ", ".join(f"{case} (series 1)" for case in left)
    assert f"Volumes left out, though a rule names them: {told}." in page
    if keep_ids:
        assert "identifiers that hold the patient's name, replaced by numbers: patient_0001" in printed
        assert (export / "out" / "images" / "patient_0001").is_dir()


def test_a_prediction_is_not_called_after_a_folder_with_the_name(export, tmp_path, capsys):
    from workbench.predict.study import read_images

    found = read_images(export / "in" / "ROE_JANE_1950-01-01", ["pre"], export / "rules.yaml", None, tmp_path)
    assert found.case.startswith("case_")
    assert "ROE" not in capsys.readouterr().out
    where = (export / "in" / "ROE_JANE_1950-01-01", ["pre"], export / "rules.yaml", None, tmp_path)
    assert read_images(*where, keep_name=True).case == "ROE_JANE_1950-01-01"
    assert "warning: the case is called as the folder is" in capsys.readouterr().out


def test_volumes_that_no_rule_is_about_are_not_among_those_left_out(write_dicom, tmp_path, capsys):
    write_dicom(tmp_path / "in" / "a", series="1", SeriesDescription="native")
    write_dicom(
        tmp_path / "in" / "b", series="2", SeriesDescription="portal", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    write_dicom(tmp_path / "in" / "c", [0, 1], series="3", SeriesDescription="other")
    (tmp_path / "rules.yaml").write_text(RULES)
    run(tmp_path, labels=None, dry_run=True)
    printed = capsys.readouterr().out
    assert "left out" not in printed
    assert "all others" not in printed
