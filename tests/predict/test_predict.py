# SPDX-License-Identifier: Apache-2.0
"""One patient as a user predicts them: from image files, and from DICOM to a report that a PACS reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pandas
import pydicom
import pytest
import yaml
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scripts.files.errors import message_of
from workbench.predict import command as predict
from workbench.predict.structured_report import coded

PHASES = ("pre", "arterial", "portal")
RULES = "phases:\n" + "".join(f"  {phase}: {{description: '*{phase}*'}}\n" for phase in PHASES)


def write_series(nifti: Path, folder: Path, phase: str, study: str, number: int, patient: str) -> None:
    """Write a CT volume as one DICOM file per slice, as a scanner does."""
    image = nibabel.as_closest_canonical(nibabel.load(nifti))
    voxels = np.asarray(image.dataobj).astype(np.float64)[::-1, ::-1]  # columns to the left, rows to the back
    spacing = image.header.get_zooms()
    corner = image.affine @ [image.shape[0] - 1, image.shape[1] - 1, 0, 1]
    folder.mkdir(parents=True, exist_ok=True)
    series, place = generate_uid(), generate_uid(entropy_srcs=[study])
    for index in range(voxels.shape[2]):
        tags = pydicom.Dataset()
        tags.file_meta = FileMetaDataset()
        tags.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        tags.file_meta.MediaStorageSOPClassUID = tags.SOPClassUID = CTImageStorage
        tags.file_meta.MediaStorageSOPInstanceUID = tags.SOPInstanceUID = generate_uid()
        tags.PatientName, tags.PatientID, tags.PatientBirthDate, tags.PatientSex = ("Test^Phantom", patient, "", "O")
        tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.FrameOfReferenceUID = study, series, place
        tags.StudyDate, tags.StudyTime, tags.StudyID, tags.AccessionNumber = "20200102", "101112", "1", ""
        tags.ReferringPhysicianName, tags.Modality, tags.SeriesNumber = "", "CT", number
        tags.SeriesDescription, tags.InstanceNumber, tags.ImageType = (phase, index + 1, ["ORIGINAL", "PRIMARY"])
        tags.PixelSpacing = [f"{spacing[1]:.6f}", f"{spacing[0]:.6f}"]
        tags.SliceThickness, tags.ImageOrientationPatient = float(spacing[2]), [1, 0, 0, 0, 1, 0]
        where = [-corner[0], -corner[1], corner[2] + index * spacing[2]]
        tags.ImagePositionPatient = [f"{value:.6f}" for value in where]
        tags.Rows, tags.Columns, tags.SamplesPerPixel = voxels.shape[1], voxels.shape[0], 1
        tags.PhotometricInterpretation, tags.BitsAllocated, tags.BitsStored = "MONOCHROME2", 16, 16
        tags.HighBit, tags.PixelRepresentation, tags.RescaleIntercept, tags.RescaleSlope = 15, 1, 0, 1
        tags.PixelData = np.round(voxels[:, :, index]).astype("<i2").T.tobytes()
        tags.save_as(folder / f"{phase}_{index:03d}.dcm", enforce_file_format=True)


def assert_valid(file: Path, kind: str) -> None:
    """Ask the validator of DICOM, which must find no error, and recognise the kind of the object."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy (Debian package dicom3tools)")
    done = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert not [line for line in said.splitlines() if line.startswith("Error")]
    assert kind in said  # it did read it


@pytest.fixture(scope="module")
def case(trained) -> str:
    """A test case of the phantom."""
    return str(pandas.read_csv(trained / "predictions.csv")["case"][0])


@pytest.fixture(scope="module")
def trained_with_table(bundle, quick, tmp_path_factory) -> Path:
    """A results folder of a model that reads a clinical table."""
    folder = tmp_path_factory.mktemp("results") / "table"
    settings = quick | {"clinical": ["age", "sex"], "learning_rate": 0.03}
    bundle("training", ["configs/train.yaml"], output_dir=str(folder), **settings)
    return folder


@pytest.fixture(scope="module")
def from_dicom(trained, small_phantom, case, tmp_path_factory) -> Path:
    """The output of a prediction from a DICOM study in nested folders."""
    folder = tmp_path_factory.mktemp("dicom")
    study = generate_uid()
    for number, phase in enumerate(PHASES, 1):
        write_series(small_phantom / case / f"{phase}.nii.gz", folder / "in" / f"s{number}", phase, study, number, "P1")
    (folder / "rules.yaml").write_text(RULES)
    predict.main(
        [f"--run={trained}", f"--input={folder / 'in'}", f"--output={folder / 'out'}",
         f"--rules={folder / 'rules.yaml'}", f"--roi={small_phantom / case / 'lesion.nii.gz'}"]
    )  # fmt: skip
    return folder / "out"


def test_a_folder_of_image_files_is_predicted_as_inferring_does(trained, small_phantom, case, tmp_path, capsys):
    predict.main([f"--run={trained}", f"--input={small_phantom / case}", f"--output={tmp_path / 'out'}", "--keep_name"])
    found = json.loads((tmp_path / "out" / "prediction.json").read_text())
    known = pandas.read_csv(trained / "predictions.csv").set_index("case").loc[case]
    assert found["case"] == case
    assert found["probabilities"]["high"] == pytest.approx(known["p_high"], abs=1e-6)
    assert found["class"] == max(found["probabilities"], key=found["probabilities"].get)
    assert found["positive"] == (found["probabilities"]["high"] >= found["threshold"])
    assert found["positive_class"] == "high"
    for name in ("low", "high"):
        moved = sum(by_class[name] for by_class in found["contributions"].values())
        assert moved == pytest.approx(found["explained_probabilities"][name] - found["start"][name], abs=1e-8)
    assert set(found["contributions"]) == {phase for phase in PHASES if phase not in found["missing"]}
    assert found["versions"]["torch"]
    assert not (tmp_path / "out" / "prediction.dcm").exists()  # there is no patient to report on
    assert f"{case}: {found['class']}" in capsys.readouterr().out


def test_dicom_is_predicted_as_the_same_volumes_in_nifti(from_dicom, trained, case):
    found = json.loads((from_dicom / "prediction.json").read_text())
    known = pandas.read_csv(trained / "predictions.csv").set_index("case").loc[case]
    assert found["probabilities"]["high"] == pytest.approx(known["p_high"], abs=2e-3)  # voxels are rounded to HU
    text = (from_dicom / "prediction.json").read_text()
    assert "Phantom" not in text
    assert "P1" not in text


def test_the_report_reads_back_with_all_it_should_say(from_dicom):
    from highdicom.sr import srread

    report = srread(from_dicom / "prediction.dcm")
    found = json.loads((from_dicom / "prediction.json").read_text())
    assert (report.PatientID, str(report.PatientName), report.Modality) == ("P1", "Test^Phantom", "SR")
    (group,) = report.content.get_image_measurement_groups()
    values = {item.name.meaning: float(item.value) for item in group.get_measurements()}
    for name, probability in found["probabilities"].items():
        assert values[f"Probability of {name}"] == pytest.approx(probability, abs=1e-6)
    for phase, by_class in found["contributions"].items():
        assert values[f"Contribution of {phase}"] == pytest.approx(by_class[found["class"]], abs=1e-6)
    (predicted,) = group.get_qualitative_evaluations(coded("Predicted class"))
    assert predicted.value.meaning == found["class"]
    assert values["Threshold on the probability of high"] == pytest.approx(found["threshold"], abs=1e-6)
    (named,) = group.get_qualitative_evaluations(coded("Positive class"))
    (called,) = group.get_qualitative_evaluations(coded("Positive for high"))
    assert named.value.meaning == "high"
    assert called.value.meaning == ("Yes" if found["positive"] else "No")
    sets = found["prediction_sets"]
    assert "approximate" in sets["from"]
    for at in sets["levels"]:
        inside = group.get_qualitative_evaluations(coded(f"In the prediction set at {at['level']:.0%}"))
        assert [item.value.meaning for item in inside] == (at["set"] or ["none"])
        (decided,) = group.get_qualitative_evaluations(coded(f"Decision at {at['level']:.0%}"))
        assert decided.value.meaning == at["decision"]
    used = {
        instance.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    sent = {str(pydicom.dcmread(file).SOPInstanceUID) for file in (from_dicom.parent / "in").rglob("*.dcm")}
    assert used == sent


def test_the_validator_of_dicom_finds_no_error(from_dicom):
    assert_valid(from_dicom / "prediction.dcm", "Comprehensive")


def test_the_case_has_a_pseudonym_that_does_not_follow_the_folder(
    trained, from_dicom, small_phantom, case, tmp_path, capsys
):
    named = []
    for folder in ("Doe^Jane 1950-01-01", "other"):
        shutil.copytree(small_phantom / case, tmp_path / folder)
        predict.main([f"--run={trained}", f"--input={tmp_path / folder}", f"--output={tmp_path / 'out'}"])
        text = (tmp_path / "out" / "prediction.json").read_text()
        assert "Doe" not in text + capsys.readouterr().out
        named.append(json.loads(text)["case"])
    named.append(json.loads((from_dicom / "prediction.json").read_text())["case"])
    assert named[0] == named[1] != named[2]
    assert all(re.fullmatch(r"case_[0-9a-f]{8}", name) for name in named)


def test_clinical_values_are_read_and_missing_ones_and_phases_said(
    trained_with_table, small_phantom, case, tmp_path, capsys
):
    source = tmp_path / "case"
    shutil.copytree(small_phantom / case, source)
    (source / "pre.nii.gz").unlink(missing_ok=True)
    results = []
    for output, values in (("a", ["age=40,0", "sex=f"]), ("b", ["age=8000 years"]), ("c", ["sex=NA"])):
        arguments = [f"--run={trained_with_table}", f"--input={source}", f"--output={tmp_path / output}"]
        predict.main([*arguments, *(["--clinical", *values] if values else [])])
        results.append(json.loads((tmp_path / output / "prediction.json").read_text()))
    assert results[0]["clinical"] == {"age": 40.0, "sex": "F"}
    assert [found["clinical_missing"] for found in results] == [[], ["sex"], ["age", "sex"]]
    assert results[0]["probabilities"] != results[1]["probabilities"]
    printed = capsys.readouterr().out
    assert "clinical values: age 40.0, sex F\n" in printed
    assert "clinical values: age 8000.0; not given: sex\n" in printed
    assert [found["clinical_cut_off"] for found in results] == [[], ["age"], []]
    assert printed.count("warning: far from all training values, and cut off: age; check unit and") == 1
    assert "clinical values: none; not given: age, sex\n" in printed
    assert "clinical table" in results[0]["contributions"]
    assert "clinical table" not in results[2]["contributions"]
    assert all("pre" in found["missing"] for found in results)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--run=/nowhere", "--input={case}"],
            "--run must be the results folder of a training, found no /nowhere/configs",
        ),
        (["--run={run}", "--input=/nowhere"], "input folder /nowhere does not exist; correct --input"),
        (["--run={run}", "--input={empty}"], "must hold at least one of the phases .* found no image file"),
        (["--run={run}", "--input={case}", "--clinical", "age"], "--clinical must be column=value.*found 'age'"),
        (["--run={run}", "--input={case}", "--clinical", "age=61"], "age"),
        (["--run={run}", "--input={case}", "--roi={empty}/no.nii.gz"], "no.nii.gz"),
        (["--run={run}", "--input={empty}", "--rules={empty}/rules.yaml"], "rules.yaml"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(arguments, expected, trained, small_phantom, case, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    names = {"run": trained, "case": small_phantom / case, "empty": empty}
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        predict.main([*(text.format(**names) for text in arguments), f"--output={tmp_path / 'out'}"])
    message = message_of(caught.value)
    assert message, repr(caught.value)
    assert re.search(expected, message), message
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("phases", [["pre"]], "`phases` of .*inference.yaml must be a list of names"),
        ("clinical", ["age"], "inference.yaml: clinical column 0 must be an object"),
    ],
)
def test_a_model_whose_configuration_is_damaged_is_one_line(
    key, value, expected, trained, small_phantom, case, tmp_path
):
    run = shutil.copytree(trained, tmp_path / "run")
    file = run / "configs" / "inference.yaml"
    config = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(config | {key: value}))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        predict.main([f"--run={run}", f"--input={small_phantom / case}", f"--output={tmp_path / 'out'}"])
    message = message_of(caught.value)
    assert message, repr(caught.value)
    assert re.search(expected, message), message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("age=old", r"found 'age=old': clinical column 'age' must be numbers, found 'old'; correct"),
        ("age=700 months", r"found 'age=700 months': clinical column 'age' must be in 'years'.*found 'months'"),
        ("sex=X", r"found 'sex=X': clinical column 'sex' must be one of \[F, M\], found 'X'"),
    ],
)
def test_a_clinical_value_that_the_model_cannot_read_is_one_line(value, expected):
    columns = [{"name": "age", "kind": "number", "unit": "years"}]
    columns += [{"name": "sex", "kind": "category", "values": ["F", "M"]}]
    with pytest.raises(ValueError, match=expected) as error:
        predict.clinical_values([value], columns)
    assert "\n" not in str(error.value)
