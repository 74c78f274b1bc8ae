# SPDX-License-Identifier: Apache-2.0
"""checklist.md: every official number once, what the run's files say, and nothing claimed for the authors."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from workbench.report.checklist import AUTHORS, Facts, checklists
from workbench.report.checklist_items import CLAIM, TRIPOD_AI
from workbench.report.contents import read_contents
from workbench.report.report import report_folder

from .page import Page

PARTS = {"3": "abc", "5": "ab", "6": "abc", "8": "abc", "9": "abc", "12": "abcdefg", "18": "abcdef"}
PARTS |= {"20": "abc", "23": "ab", "27": "abc"}


@pytest.fixture(scope="module")
def answers(trained) -> dict[str, dict[str, list[str]]]:
    """The tables of a real training by checklist and item."""
    tables = checklists(read_contents(trained), [])
    return {table.title: {row[0]: list(row) for row in table.rows} for table in tables}


def test_the_numbers_are_the_official_ones() -> None:
    expected = [f"{n}{part}" for n in range(1, 28) for part in PARTS.get(str(n), [""])]
    assert [item.number for item in TRIPOD_AI.items] == expected
    assert len(expected) == 52
    assert [item.number for item in CLAIM.items] == [str(n) for n in range(1, 45)]


def test_answers_are_what_the_files_say(answers, trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    macro = metrics["macro"]
    for name, item in (("TRIPOD+AI", "23a"), ("CLAIM 2024", "37")):
        told, where = answers[name][item][2:]
        assert f"{macro['auc']:.3f}" in told
        assert "n = 8 cases" in told
        assert where.startswith("metrics.json")
    claim = answers["CLAIM 2024"]
    assert "training 24 cases" in claim["19"][2]
    assert "names no patients" in claim["20"][2]
    assert metrics["versions"]["torch"] in claim["23"][2]
    assert metrics["machine"]["processor"] in claim["23"][2]
    assert "fusion Concat" in claim["22"][2]
    assert "lacks" in claim["12"][2]  # the phantom lacks phases
    assert claim["30"][3] == "missing_phases.csv"
    for table in answers.values():
        for _, _, told, where in table.values():
            for file in re.findall(r"[\w/]+\.(?:csv|png|json|yaml|pt)", where):
                assert (trained / file).exists() or file == "dataset.json", (told, file)


def test_what_only_authors_know_is_left_to_them(answers) -> None:
    for item in ("3b", "8b", "17", "18a", "19", "25"):
        assert answers["TRIPOD+AI"][item][2:] == [AUTHORS, ""]
    for item in ("5", "15", "16", "33", "34", "44"):
        assert answers["CLAIM 2024"][item][2:] == [AUTHORS, ""]


def test_file_and_page_are_written_and_read_alike(trained: Path) -> None:
    text = (trained / "checklist.md").read_text(encoding="utf-8")
    page = Page((trained / "report.html").read_text(encoding="utf-8"))
    for name in ("TRIPOD+AI", "CLAIM 2024"):
        rows = page.table(name)
        assert rows[0] == ["item", "asks for", "answer", "where"]
        for row in rows[1:]:
            assert f"| {row[0]} | {row[1]} |" in text
    assert "doi 10.1136/bmj-2023-078378" in text
    assert "doi 10.1148/ryai.240300" in text


def test_a_folder_of_metrics_alone_claims_little(trained: Path, tmp_path: Path) -> None:
    for name in ("metrics.json", "predictions.csv"):
        shutil.copy(trained / name, tmp_path)
    report_folder(tmp_path)
    contents = read_contents(tmp_path)
    rows = {row[0]: row for row in checklists(contents, [])[1].rows}
    for item in ("7", "19", "22", "24", "26", "30", "39"):
        assert rows[item][2] == AUTHORS, rows[item]
    assert "AUC" in rows["37"][2]
    named = {name for one in (TRIPOD_AI, CLAIM) for item in one.items for name in item.facts.split()}
    for name in named - {"metrics"}:
        getattr(Facts(contents, []), name)()


def test_no_evaluation_no_checklist(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "learning_curves.csv", tmp_path)
    report_folder(tmp_path)
    assert not (tmp_path / "checklist.md").exists()
