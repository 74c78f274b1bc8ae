"""dataset.json with anything in it is read, or refused in one line that names the file."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from scripts.data import read_cases, read_unlabelled

st = pytest.importorskip("hypothesis.strategies", reason="pip install -r requirements-dev.txt")
PHASES, CLASSES, CLINICAL = ["pre", "portal"], ["low", "high"], ["age", "sex"]
ODD = [
    "", "\ud800", "a\nb", "a\x00b", "../../x", "/etc/passwd", "/dev/zero", "a" * 5000, "low", "case", "pre",
    "..", "\u2028", 10**400, -1, 0, 2**63, 1e308, float("nan"), float("inf"), True, None, {}, [], [[]],
    {"": None},
]  # fmt: skip
JUNK = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=8) | st.integers() | st.floats(),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=4), part, max_size=4),
    max_leaves=8,
)
WHERE = st.lists(st.integers(0, 40), min_size=1, max_size=5)
HOW = st.sampled_from(["replace", "delete", "repeat", "rename"])
EDITS = st.lists(st.tuples(WHERE, HOW, JUNK), min_size=1, max_size=4)
CUTS = st.lists(
    st.tuples(st.integers(0, 3000), st.binary(max_size=6), st.integers(0, 60)), min_size=1, max_size=3
)
QUICK, SLOW = 55, 3000


def edited(content: Any, edits: list) -> Any:
    """Return the document with parts replaced, deleted, repeated or renamed."""
    content = copy.deepcopy(content)
    for where, how, junk in edits:
        parent, key, node = None, None, content
        for step in where:
            if not isinstance(node, dict | list) or not node:
                break
            keys = list(node) if isinstance(node, dict) else range(len(node))
            parent, key = node, keys[step % len(keys)]
            node = parent[key]
        if parent is None:
            return junk
        if how == "delete":
            del parent[key]
        elif how == "repeat" and isinstance(parent, list):
            parent.append(copy.deepcopy(node))
        elif how == "rename" and isinstance(parent, dict):
            parent[junk if isinstance(junk, str) else json.dumps(junk, default=str)] = parent.pop(key)
        else:
            parent[key] = junk
    return content


def read(folder, one_line) -> bool:
    """Read the dataset for training and for inference; returns whether training could start."""
    good = False
    for reader, arguments in ((read_cases, (PHASES, CLASSES, CLINICAL)), (read_unlabelled, (PHASES,))):
        try:
            reader(folder, *arguments)
            good = good or reader is read_cases
        except (ValueError, FileNotFoundError) as error:
            one_line(error, "dataset.json", "case ")
    return good


@pytest.mark.parametrize("examples", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_any_change_of_the_structure(examples, fuzz, one_line, document, write):
    for entry in document["training"] + document["validation"] + document["test"]:
        entry |= {"clinical": {"age": 61, "sex": "F"}, "patient": entry["case"], "site": "A"}
    document["test"][0] |= {"box": [[0, 0, 0], [1, 1, 1]], "roi": "e/late.nii.gz"}
    assert read(write(document), one_line)
    outcomes = []

    def check(edits):
        outcomes.append(read(write(json.dumps(edited(document, edits))), one_line))

    fuzz(examples, check, EDITS)
    assert outcomes.count(False) > examples / 4, "the changes must break something"


@pytest.mark.parametrize("examples", [QUICK // 2, pytest.param(SLOW // 2, marks=pytest.mark.slow)])
def test_any_change_of_the_bytes(examples, fuzz, one_line, document, write, tmp_path):
    whole = json.dumps(document).encode()

    def check(cuts):
        content = bytearray(whole)
        for start, put, length in cuts:
            content[start % len(content) : start % len(content) + length] = put
        (tmp_path / "dataset.json").write_bytes(bytes(content))
        read(tmp_path, one_line)

    fuzz(examples, check, CUTS)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, '{"phases": ' + "9" * 5000 + "}"]
)
def test_json_that_python_gives_up_on(text, one_line, write):
    with pytest.raises(
        ValueError, match=r"dataset\.json must .*correct it|must hold one JSON object"
    ) as caught:
        read_cases(write(text), PHASES, CLASSES)
    one_line(caught.value, "dataset.json")
