# SPDX-License-Identifier: Apache-2.0
"""Reading dataset.json: what comes out, and what each mistake says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scripts.cases.read import read_cases
from scripts.files.processes import BadCases

PHASES, CLASSES = ["pre", "portal"], ["low", "high"]
Document = dict[str, Any]


def test_cases_are_read_with_absolute_paths_and_label_indices(document, write, tmp_path):
    document["training"][1] |= {"patient": "P7", "site": "X", "roi": "b/late.nii.gz", "box": [[0, 0, 0], [9, 9, 9]]}
    document["training"][1]["clinical"] = {"age": 61, "sex": None}
    document["training"][0]["image"]["pre"] = None
    cases = read_cases(write(document), ["portal", "pre"], CLASSES, ["sex", "age"])

    assert cases.training[1] == {
        "case": "b",
        "patient": "P7",
        "site": "X",
        "image": {phase: str(tmp_path / "b" / f"{phase}.nii.gz") for phase in ("portal", "pre")},
        "roi": str(tmp_path / "b" / "late.nii.gz"),
        "box": [[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]],
        "clinical": {"age": 61.0},
        "label": 1,
        "split": "training",
    }
    assert list(cases.training[1]["image"]) == ["portal", "pre"]
    assert list(cases.training[0]["image"]) == ["portal"]
    assert [column["name"] for column in cases.clinical] == ["sex", "age"]
    assert (cases.class_counts, len(cases.validation), len(cases.test), cases.unlabelled) == ([1, 1], 2, 1, [])


def test_the_order_of_the_classes_decides_the_label(document, write):
    assert read_cases(write(document), PHASES, ["high", "low"]).training[0]["label"] == 1


def test_test_split_may_lack_a_class_and_a_patient_may_have_two_cases(document, write):
    document["training"][0]["patient"] = document["training"][1]["patient"] = "P1"
    assert len(read_cases(write(document), PHASES, CLASSES).training) == 2


def test_a_dataset_of_test_cases_alone_can_be_evaluated(document, write):
    del document["training"], document["validation"]
    folder = write(document)
    assert len(read_cases(folder, PHASES, CLASSES, required=["test"]).test) == 1
    with pytest.raises(ValueError, match="at least one case under 'training'"):
        read_cases(folder, PHASES, CLASSES)


def _drop_label(content: Document) -> None:
    del content["test"][0]["label"]


def _no_box(content: Document) -> None:
    content["test"][0]["box"] = [[5, 0, 0], [1, 9, float("nan")]]


MISTAKES: dict[str, tuple[Callable[[Document], Any], str]] = {
    "misspelt label": (
        lambda d: d["test"][0].update(label="hihg"),
        r"case e \(test\): label 'hihg' is not among the classes \[low, high\] \(nearest: 'high'\)",
    ),
    "number as label": (lambda d: d["test"][0].update(label=1), r"case e \(test\): the label must be a class name"),
    "no label": (_drop_label, r"case e \(test\) must have a 'label'.*'unlabelled'"),
    "case twice": (
        lambda d: d["test"].append(d["training"][0]),
        r"case a must be listed once, found in 'training' and again in 'test'",
    ),
    "patient in two splits": (
        lambda d: [d["training"][0].update(patient="P1"), d["test"][0].update(patient="P1")],
        r"patient P1 must be in one split, found in 'training' \(case a\) and 'test' \(case e\)",
    ),
    "empty split": (lambda d: d.update(test=[]), r"at least one case under 'test', found an empty list"),
    "split with another name": (
        lambda d: d.update(val=d.pop("validation")),
        r"under 'validation', found no 'validation' but 'val'",
    ),
    "class absent from validation": (
        lambda d: d["validation"].pop(),
        r"class 'high' must have at least one case in the validation split, found none",
    ),
    "class absent from training": (lambda d: d["training"].pop(0), r"class 'low' .* in the training split"),
    "misspelt phase": (
        lambda d: d["test"][0]["image"].update(portl="x.nii"),
        r"case e: phase 'portl' is not among the phases \[pre, portal, late\] \(nearest: 'portal'\)",
    ),
    "only another phase": (
        lambda d: d["test"][0].update(image={"late": "e/late.nii.gz"}),
        r"case e \(test\): at least one of the phases \[pre, portal\] must be present, found only \[late\]",
    ),
    "path is no text": (lambda d: d["test"][0]["image"].update(pre=3), r"case e: the path of 'pre' must be a text"),
    "path climbs out": (
        lambda d: d["test"][0]["image"].update(pre="e/../../x.nii"),
        r"case e: the relative path of 'pre' must stay inside .*'e/../../x.nii'.*absolute path",
    ),
    "line break in a path": (
        lambda d: d["test"][0]["image"].update(pre="e/pre\n.nii.gz"),
        r"case e: the path of 'pre' must be a text",
    ),
    "line break in a name": (
        lambda d: d["test"][0].update(case="e\nerror: all is well"),
        r"entry 0 of 'test' must be an object with a 'case' name",
    ),
    "patient that is a list": (
        lambda d: d["test"][0].update(patient=["P1"]),
        r"case e: 'patient' must be a text in one line",
    ),
    "number beyond all bounds": (
        lambda d: d["test"][0].update(clinical={"age": 10**400}),
        r"case e: clinical value 'age' must be finite",
    ),
    "mask of a phase that the case lacks": (
        lambda d: d["test"][0].update(roi={"pre": "e/pre.nii.gz", "late": "e/late.nii.gz"}),
        r"case e: a mask must be of a phase that the case has, \[pre, portal\].*, found one of 'late'",
    ),
    "mask that is no path": (
        lambda d: d["test"][0].update(roi={"pre": 3}),
        r"case e: the path of \"roi of phase 'pre'\" must be a text, found 3",
    ),
    "structures that are no list": (
        lambda d: d.update(structures={"1": "wall"}),
        r"'structures' in .* must be a list of different names, .* the value 1 of the masks, found \{'1': 'wall'\}",
    ),
    "structure named twice": (lambda d: d.update(structures=["wall", "wall"]), r"'structures' .* different names"),
    "structure for the background": (
        lambda d: d.update(structures=["Background", "wall"]),
        r"must begin with the name of the value 1 of the masks, found 'Background', which is 0",
    ),
    "box upside down": (_no_box, r"case e: 'box' must be two corners"),
    "entry is no object": (lambda d: d["test"].append("f"), r"entry 1 of 'test' must be an object with a 'case'"),
    "image is no object": (lambda d: d["test"][0].update(image="x.nii"), r"case e: 'image' must be an object"),
    "split is no list": (lambda d: d.update(test={}), r"'test' must be a list of cases, found dict"),
    "phases missing": (lambda d: d.pop("phases"), r"'phases' in .*dataset.json must be a list of names"),
    "text for a number": (
        lambda d: d["test"][0].update(clinical={"age": "61"}),
        r"case e: clinical value 'age' must be a number \(years\), found '61'.*without quotes",
    ),
    "true for a number": (lambda d: d["test"][0].update(clinical={"age": True}), r"'age' must be a number"),
    "not finite": (lambda d: d["test"][0].update(clinical={"age": float("nan")}), r"'age' must be finite"),
    "unknown category": (
        lambda d: d["test"][0].update(clinical={"sex": "male"}),
        r"case e: clinical value 'sex' must be one of \[F, M\].*found 'male'",
    ),
    "unknown column": (
        lambda d: d["test"][0].update(clinical={"agee": 61}),
        r"case e: clinical column 'agee' is not among the columns \[age, sex\] \(nearest: 'age'\)",
    ),
    "column without values": (lambda d: d["clinical"][1].pop("values"), r"'sex' is a category and must list"),
    "column of unknown kind": (lambda d: d["clinical"][0].update(kind="float"), r"the kind 'number' or 'category'"),
    "column twice": (lambda d: d["clinical"].append(d["clinical"][0]), r"'age' is declared twice"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(name, document, write, say):
    spoil, message = MISTAKES[name]
    spoil(document)
    with pytest.raises(ValueError, match=message) as raised:
        read_cases(write(document), PHASES, CLASSES, ["age", "sex"])
    assert "\n" not in str(raised.value)
    assert "dataset.json" in str(raised.value)
    say("dataset.json", name, raised.value)


def test_all_missing_files_are_named(document, write, tmp_path, say):
    for case in "ab":
        (tmp_path / case / "pre.nii.gz").unlink()
        (tmp_path / case / "portal.nii.gz").unlink()
    with pytest.raises(BadCases, match=r"^4 of 10 files named in .*dataset.json cannot be used:") as raised:
        read_cases(write(document), PHASES, CLASSES)
    named = [f"case {case}, {phase!r}: " for case in "ab" for phase in ("pre", "portal")]
    assert [line.startswith(name) for line, name in zip(raised.value.lines, named, strict=True)] == [True] * 4
    say("dataset.json", "files that do not exist", raised.value)


def test_paths_that_climb_out_are_allowed_by_a_setting(document, write, tmp_path, monkeypatch):
    outside = tmp_path.parent / "outside.nii.gz"
    outside.touch()
    document["test"][0]["image"]["pre"] = f"../{outside.name}"
    with pytest.raises(ValueError, match="BUNDLE_OUTSIDE_PATHS=1"):
        read_cases(write(document), PHASES, CLASSES)
    monkeypatch.setenv("BUNDLE_OUTSIDE_PATHS", "1")
    assert read_cases(write(document), PHASES, CLASSES).test[0]["image"]["pre"] == str(outside)


def test_absolute_paths_and_links_need_no_setting(document, write, tmp_path):
    outside = tmp_path.parent / "outside_too.nii.gz"
    outside.touch()
    (tmp_path / "e" / "link.nii.gz").symlink_to(outside)
    document["test"][0]["image"] = {"pre": str(outside), "portal": "e/link.nii.gz"}
    found = read_cases(write(document), PHASES, CLASSES).test[0]["image"]
    assert found == {"pre": str(outside), "portal": str(tmp_path / "e" / "link.nii.gz")}


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        (["pre", "portl"], r"phase 'portl' is not among .*\(nearest: 'portal'\) of .*dataset.json"),
        ("pre", r"`phases` must be a list of names, found 'pre'"),
        (["pre", "pre"], r"found 'pre' twice"),
        ([], r"`phases` must be a list of names"),
    ],
)
def test_wrong_phases_in_the_configuration(phases, message, document, write):
    with pytest.raises(ValueError, match=message):
        read_cases(write(document), phases, CLASSES)


@pytest.mark.parametrize(
    ("clinical", "message"),
    [
        (["agee"], r"clinical column 'agee' is not among the columns \[age, sex\] \(nearest: 'age'\)"),
        (
            [{"name": "age", "kind": "category", "values": ["old"]}],
            r"'age' has kind 'category' in `clinical` but 'number'",
        ),
        (
            [{"name": "age", "kind": "number", "unit": "months"}],
            r"'age' has unit 'months' in `clinical` but 'years' in .*convert its values",
        ),
        ("age", r"`clinical` must be a list of columns"),
    ],
)
def test_wrong_columns_in_the_configuration(clinical, message, document, write):
    with pytest.raises(ValueError, match=message):
        read_cases(write(document), PHASES, CLASSES, clinical)


def test_evaluation_needs_no_column_that_the_model_declares(document, write):
    document["clinical"] = []
    for split in ("training", "validation", "test"):
        for item in document[split]:
            item.pop("clinical", None)
    age = {"name": "age", "kind": "number"}
    assert read_cases(write(document), PHASES, CLASSES, [age], ["test"]).test[0]["clinical"] == {}
    with pytest.raises(ValueError, match="clinical column 'age' is not among"):
        read_cases(write(document), PHASES, CLASSES, [age])


@pytest.mark.parametrize(
    ("tried", "text", "message"),
    [
        (
            "a file that is no JSON",
            '{"phases": ["pre"],\n "training": [}',
            r"must be valid JSON, found in line 2, column 15",
        ),
        ("a list in the place of an object", "[]", r"must hold one JSON object, found a list"),
    ],
)
def test_unreadable_json_names_the_line(tried, text, message, write, say):
    with pytest.raises(ValueError, match=message) as raised:
        read_cases(write(text), PHASES, CLASSES)
    say("dataset.json", tried, raised.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, '{"phases": ' + "9" * 5000 + "}"])
def test_json_that_python_gives_up_on_is_one_line(text, write):
    message = r"dataset\.json must .*correct it|must hold one JSON object"
    with pytest.raises(ValueError, match=message) as caught:
        read_cases(write(text), PHASES, CLASSES)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path, say):
    (tmp_path / "dataset.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"cannot be read as UTF-8 text") as raised:
        read_cases(tmp_path, PHASES, CLASSES)
    say("dataset.json", "bytes that are no text", raised.value)


def test_missing_folder_and_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset folder .*nowhere does not exist"):
        read_cases(tmp_path / "nowhere", PHASES, CLASSES)
    with pytest.raises(FileNotFoundError, match=r"dataset.json does not exist"):
        read_cases(tmp_path, PHASES, CLASSES)
