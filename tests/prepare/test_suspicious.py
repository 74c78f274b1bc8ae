# SPDX-License-Identifier: Apache-2.0
"""Columns that look like the answer are found, alone or together, and left out; honest ones stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from workbench.prepare.suspicious import sentence, suspicious_columns, without_suspicious

CLASSES = ["low", "mid", "high"]


def cohort(count: int, classes: int = 2, seed: int = 0, **columns: Any) -> tuple[list[dict], list[dict]]:
    """Return cases whose columns are functions of (class index, case number, generator)."""
    rng = np.random.default_rng(seed)
    cases, declared = [], []
    for number in range(count):
        label = number % classes
        values = {name: value(label, number, rng) for name, value in columns.items()}
        values = {name: value for name, value in values.items() if value is not None}
        cases.append({"case": str(number), "image": {}, "label": CLASSES[label], "clinical": values})
    for name in columns:
        kinds = {isinstance(case["clinical"].get(name), str) for case in cases if name in case["clinical"]}
        known = [case["clinical"][name] for case in cases if name in case["clinical"]]
        values = {"values": sorted(set(known))} if kinds == {True} else {}
        declared.append({"name": name, "kind": "category" if values else "number"} | values)
    return cases, declared


HONEST = {
    "noise": lambda label, number, rng: rng.normal(),
    "good marker": lambda label, number, rng: rng.normal() + 1.5 * label,  # AUC 0.86
    "sex": lambda label, number, rng: "FM"[rng.integers(2)],
    "rare categories": lambda label, number, rng: f"ward {number % 12}" if number < 24 else "ward 0",
    "name": lambda label, number, rng: f"number {number}",
    "half missing": lambda label, number, rng: rng.normal() if rng.random() < 0.5 else None,
}
LEAKS = {
    "stage after surgery": (lambda label, number, rng: 10.0 * label + rng.normal(), "its values"),
    "falling": (lambda label, number, rng: -float(label), "its values"),
    "report": (lambda label, number, rng: ["a benign", "m malignant"][label], "its values"),
    "two words each": (lambda label, number, rng: f"{label} {number // 2 % 2}", "its values"),
    "date of biopsy": (lambda label, number, rng: rng.normal() if label else None, "whether it is filled"),
}


def test_honest_columns_are_not_suspected():
    for seed in range(3):
        cases, columns = cohort(60, seed=seed, **HONEST)
        assert suspicious_columns(cases, columns).suspicious == []


@pytest.mark.slow
def test_many_columns_of_noise_are_not_suspected_in_few_cases():
    """With 20 cases one of 40 columns, or of their 780 pairs, often separates the classes by chance."""
    noise = {f"x{n}": HONEST["noise"] for n in range(40)}
    for seed in range(2):
        found = suspicious_columns(*cohort(20, seed=seed, **noise))
        assert (found.suspicious, found.doubtful) == ([], [])


@pytest.mark.parametrize("name", LEAKS)
def test_a_column_that_gives_the_class_away_is_found(name):
    value, by = LEAKS[name]
    cases, columns = cohort(60, **HONEST, **{name: value})
    (suspicion,) = suspicious_columns(cases, columns).suspicious
    assert (suspicion.columns, suspicion.by, suspicion.cases) == ((name,), by, 60)
    assert suspicion.auc == pytest.approx(1.0)


def test_one_class_of_three_is_enough():
    cases, columns = cohort(60, classes=3, marker=lambda label, number, rng: rng.normal() + 20 * (label == 2))
    (suspicion,) = suspicious_columns(cases, columns).suspicious
    assert (suspicion.label, suspicion.auc) == ("high", 1.0)


def leak(label, number, rng):
    return float(label)


def test_few_cases_are_warned_of_and_fewer_are_said_to_prove_nothing():
    few = suspicious_columns(*cohort(18, leak=leak))
    assert few.suspicious == []
    assert [one.columns for one in few.doubtful] == [("leak",)]
    assert any("most telling clinical columns of 18 training cases" in line for line in few.lines(keep=False))
    assert len(suspicious_columns(*cohort(20, leak=leak)).suspicious) == 1
    cases, columns = cohort(60, leak=leak)
    # four of the other class
    cases = [case for case in cases if case["label"] == "low" or int(case["case"]) < 8]
    (line,) = suspicious_columns(cases, columns).lines(keep=False)
    assert line.startswith("warning: clinical columns are not looked at for the answer: 5 patients of a class")


@pytest.mark.slow
def test_a_class_of_six_among_24_gives_itself_away():
    """Of 134,596 orders 2 part them: too rare for chance, though the formula for many cases goes beyond 1."""
    noise = {f"x{n}": HONEST["noise"] for n in range(3)}
    cases, columns = cohort(24, leak=lambda label, number, rng: float(number % 4), **noise)
    cases = [case | {"label": f"grade {int(case['case']) % 4}"} for case in cases]
    found = suspicious_columns(cases, columns)
    assert [one.columns for one in found.suspicious] == [("leak",)]


def test_a_gap_in_one_column_is_not_blamed_on_another():
    def both_ends(label, number, rng):
        return rng.normal() + 6 * label * rng.choice([-1, 1])

    found = suspicious_columns(*cohort(60, marker=both_ends, age=HONEST["noise"]))
    assert [one.columns for one in found.suspicious] == [("marker",)]


def graded(count: int, rule, seed: int = 0) -> tuple[list[dict], list[dict]]:
    """Return cases whose label is a rule of grade, stage and nodes, beside two columns of noise."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        grade, stage, nodes = (int(value) for value in rng.integers(1, 5, 3))
        values = {"grade": f"G{grade}", "stage": stage, "nodes": nodes, "age": rng.normal(), "psa": rng.lognormal()}
        label = "high" if rule(grade, stage, nodes) else "low"
        cases.append({"case": str(number), "label": label, "clinical": values})
    columns = [{"name": name, "kind": "number"} for name in values]
    columns[0] |= {"kind": "category", "values": ["G1", "G2", "G3", "G4"]}
    return cases, columns


TOGETHER = {
    "sum": (60, lambda grade, stage, nodes: grade + stage > 5, ("grade", "stage")),
    "either of two alone says nothing": (
        200,
        lambda grade, stage, nodes: (grade > 2) == (stage > 2),
        ("grade", "stage"),
    ),
    "both": (100, lambda grade, stage, nodes: grade > 2 and stage > 1, ("grade", "stage")),
    "three": (200, lambda grade, stage, nodes: grade + stage + nodes > 7, ("grade", "stage", "nodes")),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_columns_that_give_the_class_away_together_are_found(name):
    count, rule, expected = TOGETHER[name]
    cases, columns = graded(count, rule)
    found = suspicious_columns(cases, columns)
    assert [one.columns for one in found.suspicious] == [expected]
    assert found.suspicious[0].auc >= 0.95
    assert all(one.auc < 0.95 for one in found.best[:5])
    assert "together tell the class" in sentence(found.suspicious[0])


def test_whether_a_value_is_filled_in_is_judged_from_a_lower_level():
    cases, columns = cohort(
        200,
        age=HONEST["noise"],
        grade=lambda label, number, rng: rng.normal() if rng.random() < (0.95 if label else 0.1) else None,
        psa=lambda label, number, rng: rng.normal() if rng.random() < (0.8 if label else 0.7) else None,
    )
    (suspicion,) = suspicious_columns(cases, columns).suspicious
    assert (suspicion.columns, suspicion.by) == (("grade",), "whether it is filled")
    assert 0.85 < suspicion.auc < 0.98


def test_a_pair_in_which_one_column_does_all_is_not_blamed_for_the_other():
    def marker(label, number, rng):
        return rng.normal() + 2.2 * label  # AUC 0.94

    found = suspicious_columns(*cohort(200, marker=marker, age=HONEST["noise"], size=HONEST["noise"]))
    assert found.suspicious == []
    assert [one.columns for one in found.doubtful] == [("marker",)]


def test_the_cases_of_a_patient_do_not_prove_each_other():
    """Two values of no meaning that are the same for all cases of a patient."""
    rng = np.random.default_rng(0)
    patients = [(str(n), CLASSES[n % 2], rng.normal(), rng.normal()) for n in range(16)]
    cases = [
        {"case": f"{name}_{k}", "patient": name, "label": label, "clinical": {"x": x, "y": y}}
        for name, label, x, y in patients
        for k in range(10)
    ]
    columns = [{"name": name, "kind": "number"} for name in "xy"]
    assert [one for one in suspicious_columns(cases, columns).suspicious if len(one.columns) > 1] == []


@pytest.mark.parametrize("patients", [1, 3, 12])
def test_scans_of_one_patient_are_one_observation(patients):
    """Its number, town and age are the same in all of its scans, and tell nothing of the class."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        people = [(f"{label}{n}", label) for label, count in (("low", 12), ("mid", patients)) for n in range(count)]
        values = {
            name: {"id": rng.bytes(4).hex(), "town": f"t{rng.integers(8)}", "age": rng.normal()} for name, _ in people
        }
        cases = [
            {"case": f"{name}_{scan}", "patient": name, "label": label, "clinical": values[name]}
            for name, label in people
            for scan in range(6)
        ]
        columns = [{"name": "age", "kind": "number"}]
        for name in ("id", "town"):
            columns.append({"name": name, "kind": "category", "values": sorted({v[name] for v in values.values()})})
        found = suspicious_columns(cases, columns)
        assert (found.suspicious, found.doubtful) == ([], [])


def split(cases: list[dict]) -> dict[str, list[dict]]:
    return {"training": cases[:40], "validation": cases[40:50], "test": cases[50:], "unlabelled": []}


def test_a_suspicious_column_goes_with_a_warning_and_stays_on_request():
    cases, columns = cohort(60, age=HONEST["noise"], report=LEAKS["report"][0])
    cleaned, left, notes = without_suspicious(split(cases), columns)
    assert [column["name"] for column in left] == ["age"]
    assert all(list(case["clinical"]) == ["age"] for split in cleaned.values() for case in split)
    assert notes[0] == (
        "warning: clinical column 'report' alone tells the class 'low' by its values (AUC 1.000, 40 cases): "
        "left out; if it is known before the diagnosis, pass --keep_suspicious True"
    )
    kept, declared, notes = without_suspicious(split(cases), columns, keep=True)
    assert (kept, declared) == (split(cases), columns)
    assert notes[0].endswith("(AUC 1.000, 40 cases): kept")


def test_the_most_telling_columns_are_listed_even_where_none_is_suspicious():
    cases, columns = cohort(60, **HONEST)
    *_, notes = without_suspicious(split(cases), columns)
    assert notes[-1].startswith("most telling clinical columns of 40 training cases, by AUC: good marker 0.")
    assert notes[-1].count("0.") == 7  # five columns, a pair, and chance


def test_only_training_cases_are_looked_at():
    cases, columns = cohort(60, age=HONEST["noise"])
    for case in cases[40:]:  # in validation and test the age is the label
        case["clinical"]["age"] = 100.0 * (case["label"] == "mid")
    found = suspicious_columns(split(cases)["training"], columns)
    *_, notes = without_suspicious(split(cases), columns)
    assert len(notes) == 1
    assert notes == found.lines(keep=False)


def real(test_data, folder: str, file: str, outcome: str, positive: str) -> tuple[list[dict], list[dict]]:
    from scripts.files.tables import read_table
    from workbench.prepare.labels import read_columns

    table = read_table(test_data(folder) / file, "label file", "--labels")
    for number, row in enumerate(table.rows):
        row["row"] = str(number)
    headers = [header for header in table.headers if header not in (outcome, "patient_id", "study_id", "row")]
    read = {header: column for header, column in read_columns(table, headers, "row").items() if column.column}
    cases = [
        {
            "case": row["row"],
            "label": "yes" if row[outcome] == positive else "no",
            "clinical": {
                column.column["name"]: column.values[int(row["row"])]
                for column in read.values()
                if column.values[int(row["row"])] is not None
            },
        }
        for row in table.rows
    ]
    return cases, [column.column for column in read.values()]


@pytest.mark.slow
def test_honest_real_columns_stay(test_data):
    found = suspicious_columns(*real(test_data, "uci_hcc_survival", "hcc-data.txt", "survived", "1"))
    assert (found.suspicious, found.doubtful) == ([], [])
    assert 0.6 < found.best[0].auc < 0.8


@pytest.mark.slow
def test_real_columns_from_the_biopsy_go(test_data):
    found = suspicious_columns(*real(test_data, "picai_anatomy_clinical", "marksheet.csv", "case_csPCa", "YES"))
    gone = {name for one in found.suspicious for name in one.columns}
    assert gone == {"case_ISUP", "histopath_type"}
    assert {name for one in found.best for name in one.columns} >= {"psad", "case_ISUP"}
