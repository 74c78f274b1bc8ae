# SPDX-License-Identifier: Apache-2.0
"""From DICOM folders to a dataset.json: phases by rules, labels, pseudonyms, nothing that names a person."""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scripts.cases.read import read_cases
from scripts.files.plain_text import is_plain
from workbench.prepare.dicom.assign import assign_study
from workbench.prepare.dicom.persons import pseudonyms, write_key
from workbench.prepare.dicom.rules import read_rules
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

RULES = """
phases:
  pre: {description: ['*vibe*'], take: 1}
  arterial: {description: '*VIBE*', take: 1}
  adc: {description: ['*adc*'], exclude: ['*fake*'], plane: axial}
"""


@pytest.fixture
def studies(write_dicom, tmp_path) -> Path:
    """Six patients in different nestings, the third with two studies; two vibe series, one ADC map."""
    root = tmp_path / "source"
    for number in range(7):
        patient = min(number, 5)
        folder = root / f"a{number}" / "x" if number % 2 else root
        common = {"patient": f"Secret-{patient}", "study": f"9.9.{number}", "prefix": f"s{number}_"}
        write_dicom(folder / "late", series=f"9.{number}.2", SeriesNumber=2, SeriesDescription="t1_vibe_dyn",
                    AcquisitionTime="110000", value=200, **common)  # fmt: skip
        write_dicom(folder / "early", series=f"9.{number}.3", SeriesNumber=3, SeriesDescription="t1_vibe_dyn",
                    AcquisitionTime="100000", value=100, **common)  # fmt: skip
        write_dicom(folder / "adc", series=f"9.{number}.4", SeriesNumber=4, SeriesDescription="dwi_ADC",
                    RescaleSlope=2, RescaleIntercept=-5, **common)  # fmt: skip
    (root / "notes.txt").write_text("no DICOM")
    (root / "more.zip").write_bytes(b"PK")
    (tmp_path / "rules.yaml").write_text(RULES)
    rows = [f"Secret-{number},{'ab'[number % 2]},{50 + number}" for number in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["case,label,age [years]", *rows]))
    return tmp_path


def run(folder: Path, **settings) -> Path | None:
    arguments = {"rules": folder / "rules.yaml", "labels": folder / "labels.csv", "output": folder / "out"}
    return prepare(Settings(folder / "source", "dicom", **arguments | {"overwrite": True} | settings))


def items_of(file: Path) -> dict[str, dict]:
    cases = read_cases(file, ["pre", "arterial", "adc"], ["a", "b"], ["age"])
    return {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}


def test_a_phase_of_the_rules_is_no_order(studies, monkeypatch):
    monkeypatch.chdir(studies)
    (studies / "rules.yaml").write_text(RULES.replace("pre:", "\"$open('witness', 'w')\":"))
    with pytest.raises(ValueError, match=r"phases of rules .* must not have"):
        run(studies)
    assert not (studies / "witness").exists()
    assert not (studies / "out" / "data.yaml").exists()


def test_identifiers_that_a_spreadsheet_would_compute_keep_their_numbers(write_dicom, tmp_path):
    for number, patient in enumerate(["=1+1", "'=1+1", "-5"]):
        where = {"study": f"9.{number}", "series": f"9.{number}.1", "prefix": f"{number}_"}
        write_dicom(tmp_path / "source", patient=patient, **where)
    studies, _ = find_studies(tmp_path / "source")
    names = pseudonyms(studies, tmp_path / "key.csv")
    write_key(studies, names, tmp_path / "key.csv")
    assert "'=1+1" in (tmp_path / "key.csv").read_text()
    assert pseudonyms(studies[::-1], tmp_path / "key.csv") == names


def test_a_description_cannot_steer_the_terminal(write_dicom, tmp_path, capsys):
    texts = {"SeriesDescription": "t1\x1b[2J\u202evibe", "SpecificCharacterSet": "ISO_IR 192"}
    write_dicom(tmp_path / "source", **texts)
    (tmp_path / "rules.yaml").write_text(RULES)
    prepare(Settings(tmp_path / "source", "dicom", tmp_path / "out", rules=tmp_path / "rules.yaml", dry_run=True))
    printed = capsys.readouterr().out
    assert "vibe" in printed
    assert is_plain(printed.replace("\n", ""))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        f"{BOMB}\nphases: *l",
        f"phases:\n  pre: {{description: [{', '.join(['x'] * 30_000)}]}}",
        "phases: &p {pre: *p}",
        "phases: " + "[" * 20_000,
        BOMB.replace("[", "{<<: [").replace("]", "]}"),
    ],
    ids=["aliases", "length", "itself", "depth", "merges"],
)
def test_rules_that_grow_are_refused_at_once(text, tmp_path):
    (tmp_path / "rules.yaml").write_text(text)
    start = time.process_time()
    with pytest.raises(ValueError, match=r"rules .* must be YAML \(.*correct it") as caught:
        read_rules(tmp_path / "rules.yaml")
    assert time.process_time() - start < 1
    assert len(str(caught.value)) < 500


def test_series_become_the_phases_of_the_rules(studies, capsys):
    items = items_of(run(studies))
    assert list(items["case_0001"]["image"]) == ["pre", "arterial", "adc"]
    for phase, first in (("pre", 100), ("arterial", 200)):
        image = nibabel.load(items["case_0001"]["image"][phase])
        expected = first + np.arange(6) + np.arange(80).reshape(8, 10).T[:, :, None]
        expected[-1, -1] = np.asarray(image.dataobj)[-1, -1]  # tells the series apart
        np.testing.assert_array_equal(image.dataobj, expected)
        np.testing.assert_allclose(image.affine[:, 3], [-10, -20, 30, 1])
        np.testing.assert_allclose(np.diag(image.affine), [-1.5, -2, 1, 1])
        assert image.get_data_dtype() == np.int16
    adc = nibabel.load(items["case_0001"]["image"]["adc"]).get_fdata()
    assert adc[0, 0, 0] == 2 * 100 - 5
    printed = capsys.readouterr().out
    assert "packed files, unpack them first: more.zip" in printed
    assert "files that are no DICOM: notes.txt" in printed


def test_labels_are_joined_by_patient_and_studies_of_a_patient_stay_together(studies):
    cases = items_of(run(studies))
    key = (studies / "out_mapping.csv").read_text().splitlines()
    assert key[0] == "case,patient,patient_id,study_uid,study_date"
    assert key[-1] == "case_0007,patient_0006,Secret-5,9.9.6,20200102"
    for number, item in enumerate(cases[f"case_{n + 1:04d}"] for n in range(6)):
        assert (item["label"], item["clinical"]) == (number % 2, {"age": 50.0 + number})
    assert cases["case_0006"]["patient"] == cases["case_0007"]["patient"] == "patient_0006"
    assert cases["case_0006"]["split"] == cases["case_0007"]["split"]


def test_nothing_in_the_output_names_the_person(studies):
    run(studies)
    for file in (studies / "out").rglob("*"):
        if file.is_file():
            content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            content = content.replace(str(studies).encode(), b"")
            for secret in (b"Secret", b"Surname", b"1950", b"2020", b"9.9.", b"vibe"):
                assert secret not in content, (file, secret)
            assert "Secret" not in str(file.relative_to(studies))
    assert (studies / "out_mapping.csv").stat().st_mode & 0o077 == 0


def test_identifiers_only_when_asked(studies):
    names = set(items_of(run(studies, keep_ids=True)))
    assert names == {*(f"Secret-{n}" for n in range(5)), "Secret-5_20200102", "Secret-5_20200102_2"}
    assert not (studies / "out_mapping.csv").exists()


def test_what_has_not_changed_is_not_converted_again(studies, write_dicom):
    before = items_of(run(studies))
    images = {path: path.stat().st_mtime_ns for path in (studies / "out/images").rglob("*.nii.gz")}
    assert len(images) == 21
    slice_ = studies / "source/early/s0_000"  # of the same size, with its old time stamp
    state, content = slice_.stat(), slice_.read_bytes()
    slice_.write_bytes(content[:-160] + np.int16(900).tobytes() + content[-158:])
    os.utime(slice_, ns=(state.st_atime_ns, state.st_mtime_ns))
    write_dicom(studies / "source/new", series="9.7.3", patient="AAA", study="9.9.7", SeriesDescription="t1_vibe")
    (studies / "out/images/case_0002/adc.nii.gz").unlink()
    after = items_of(run(studies, mapping=studies / "out_mapping.csv"))
    changed = {
        path.relative_to(studies / "out/images") for path, time in images.items() if path.stat().st_mtime_ns != time
    }
    assert {str(path) for path in changed} == {"case_0001/pre.nii.gz", "case_0002/adc.nii.gz"}
    assert nibabel.load(after["case_0001"]["image"]["pre"]).get_fdata()[0, 0, 0] == 900
    assert after.keys() == before.keys()  # a patient who sorts first got the next number, and has no label
    assert (studies / "out/images/case_0008/pre.nii.gz").is_file()


def test_a_dry_run_shows_the_assignment_and_writes_nothing(studies, capsys):
    before = sorted(studies.rglob("*"))
    assert run(studies, dry_run=True, labels=None) is None
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines() if line.startswith("case_0001")]
    what = ["t1_vibe_dyn", "ORIGINAL/PRIMARY", "6", "axial"]
    assert lines[0] == ["case_0001", "2", *what, "11:00:00", "-", "->", "arterial"]
    assert lines[1] == ["case_0001", "3", *what, "10:00:00", "-", "->", "pre"]
    assert sorted(studies.rglob("*")) == before


def test_a_series_that_cannot_be_decoded_is_left_out_in_one_line(studies, capsys):
    from pydicom import dcmread
    from pydicom.uid import JPEG2000Lossless

    broken = studies / "source/adc/s0_003"
    image = dcmread(broken)
    image.file_meta.TransferSyntaxUID = JPEG2000Lossless
    image.PixelData = (
        b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0\x04\0\0\0\xff\x4f\xff\x51" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )
    image["PixelData"].is_undefined_length = True
    image.save_as(broken)
    cut = studies / "source/late/s2_001"
    cut.write_bytes(cut.read_bytes()[:-40])
    items = items_of(run(studies))
    assert list(items["case_0001"]["image"]) == ["pre", "arterial"]
    assert list(items["case_0003"]["image"]) == ["pre", "adc"]
    assert not (studies / "out/images/case_0001/adc.nii.gz").exists()
    printed = capsys.readouterr().out
    assert "note: case_0001: series 4 'dwi_ADC' left out: pixels of s0_003 cannot be decoded" in printed
    assert "truncated pixels, 120 of 160 bytes (1 of 6 images, first s2_001)" in printed
    assert not [path for path in (studies / "out").rglob(".*") if path.name != ".converted.json"]


MISTAKES = {
    "no rules": ({"rules": None}, r"layout 'dicom' needs rules .* pass --rules"),
    "rules missing": ({"rules": "nowhere.yaml"}, r"rules .*nowhere.yaml do not exist"),
    "no labels": ({"labels": None}, r"layout 'dicom' needs a label file; pass --labels"),
    "nothing fits": ({"rules": "none.yaml"}, r"at least one series of .* must fit a rule of .*none.yaml"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name, studies, monkeypatch):
    monkeypatch.chdir(studies)
    (studies / "none.yaml").write_text("phases: {t2: {description: 't2*'}}")
    settings, message = MISTAKES[name]
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        run(studies, **settings)
    assert "\n" not in str(raised.value)
    assert not list((studies / "out").rglob("*.nii.gz"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("phases: {t2: {descripton: a}}", r"phase 't2': condition 'descripton' is not among .*nearest: 'description'"),
        ("phases: {t2: {plane: oblique}}", r"plane must be one of sagittal, coronal, axial, found 'oblique'"),
        ("phases: {t2: {b_value: 800}}", r"b_value must be two numbers.*found 800"),
        ("phases: {t2: {take: biggest}}", r"take must be one of first, last, most_images.*found 'biggest'"),
        ("phases: {t2: {take: true}}", r"take must be one of .*found True"),
        ("phases: {../t2: {}}", r"phase '../t2': the name becomes that of a file and must not have /"),
        ("phases: [t2]", r"must have a key 'phases' with one entry per phase"),
        ("phases: {t2: [a", r"must be YAML"),
        ("phases: {t2: {description: !!timestamp x}}", r"must be YAML"),
        ("phases: {t2: {}, t2: {}}", r"must be YAML .*the key 't2' twice"),
        ("phases: {t2: {description: 5.5}}", r"description must be a pattern or a list of them, found 5.5"),
        ("phases: {t2: {exclude: [{a: b}]}}", r"exclude must be a pattern or a list of them"),
        ("phases: {t2: {plane: [axial]}}", r"plane must be one of"),
        ("phases: {t2: {take: [1]}}", r"take must be one of"),
        ("phases: {t2: {b_value: [0, .nan]}}", r"b_value must be two numbers"),
        ('phases: {"t\\e[2J": {}}', r"phases of .* must be a list of names"),
        ("phases: {'@t2': {}}", r"phases of .* must not have '#'.*'@t2'"),
    ],
)
def test_wrong_rules(text, message, tmp_path):
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        read_rules(tmp_path / "rules.yaml")
    assert "\n" not in str(raised.value)


def test_the_shipped_rules_can_be_read():
    phases = {file.stem: [rule.phase for rule in read_rules(file)] for file in Path("configs/dicom").glob("*.yaml")}
    assert phases["liver_ct"] == ["pre", "arterial", "portal", "delayed"]
    assert phases["prostate_mr"] == ["t2w", "adc", "hbv", "cor", "sag"]
    assert "liver_mr" in phases


def test_several_that_fit_need_a_choice(studies, capsys):
    (studies / "rules.yaml").write_text("phases:\n  vibe: {description: '*vibe*'}\n  adc: {description: '*adc*'}\n")
    run(studies, dry_run=True)
    assert capsys.readouterr().out.count("vibe: 2 volumes fit; narrow the rule, or add 'take'") == 14


def test_without_pydicom_the_message_says_what_to_install(studies, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ValueError, match=r"needs the package pydicom.*pip install -r requirements-dicom.txt"):
        run(studies)


def test_an_option_of_another_layout_is_refused(studies):
    with pytest.raises(ValueError, match=r"--rules is an option of the layouts \[dicom\], found with layout 'folders'"):
        prepare(Settings(studies / "source", "folders", studies / "out", rules=studies / "rules.yaml"))


def test_the_record_of_conversions_names_only_phases(studies):
    run(studies)
    record = json.loads((studies / "out/images/case_0001/.converted.json").read_text())
    assert record.keys() == {"pre", "arterial", "adc"}


def test_one_study_uid_in_two_patients_makes_two_cases(studies, write_dicom):
    write_dicom(studies / "source/other", patient="Another", study="9.9.0", series="5.5", SeriesDescription="vibe")
    run(studies)
    key = [line.split(",") for line in (studies / "out_mapping.csv").read_text().splitlines()[1:]]
    assert [row[2] for row in key if row[3] == "9.9.0"] == ["Another", "Secret-0"]
    assert len({row[0] for row in key}) == len(key) == 8


def test_a_mapping_that_is_another_file_is_refused(studies):
    with pytest.raises(ValueError, match=r"mapping .*labels.csv must have the columns case,patient,patient_id"):
        run(studies, mapping=studies / "labels.csv")


def test_dynamic_series_of_one_name_are_told_apart_by_time(write_dicom, tmp_path):
    for number, hour in enumerate((13, 10, 12, 11)):
        write_dicom(tmp_path / f"s{number}", series=f"1.{number}", SeriesNumber=number,
                    SeriesDescription="T1_VIBE_dyn", AcquisitionTime=f"{hour}0000")  # fmt: skip
    write_dicom(tmp_path / "in", series="1.8", SeriesDescription="t1_vibe_in_phase", AcquisitionTime="090000")
    (study,), _ = find_studies(tmp_path)
    volumes = assign_study(study, read_rules(Path("configs/dicom/liver_mr.yaml")))
    by_time = sorted(volumes, key=lambda volume: volume.stack.seconds)
    assert [volume.phase for volume in by_time] == ["", "pre", "arterial", "portal", "delayed"]
