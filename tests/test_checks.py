# SPDX-License-Identifier: Apache-2.0
"""The checks of `make check` and `make audit` see all there is, and fail where they must."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("piplicenses", reason="pip install -r requirements-dev.txt")
from ci.dependencies import RUNTIME, check_vulnerabilities, installed, required, write_sbom

ROOT = Path(__file__).resolve().parents[1]


def test_ruff_sees_every_file():
    listed = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files", "."], cwd=ROOT, capture_output=True, text=True
    )
    seen = {str(Path(line).relative_to(ROOT)) for line in listed.stdout.splitlines()}
    there = {str(file.relative_to(ROOT)) for part in ("scripts", "tests") for file in (ROOT / part).rglob("*.py")}
    assert there - seen == set()


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("License-Expression: GPL-3.0-only", False),
        ("License-Expression: MIT AND AGPL-3.0-or-later", False),
        ("Classifier: License :: OSI Approved :: GNU General Public License v2 (GPLv2)", False),
        ("Summary: names no licence", False),
        ("License-Expression: LGPL-3.0-or-later", True),
        ("Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", True),
    ],
)
def test_the_licence_of_what_a_requirement_asks_for_is_checked(licence, allowed, tmp_path):
    for name, lines in (("asked", licence), ("asking", "License: MIT\nRequires-Dist: asked>=1")):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{lines}\n")
    (tmp_path / "requirements.txt").write_text("# of a test\nasking==1.0  # one\n")
    command = ["ci/dependencies.py", "licences", "--requirements", str(tmp_path / "requirements.txt")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == allowed, done.stderr
    if allowed:
        assert done.stdout == "2 packages, none under GPL or AGPL\n"
    else:
        assert done.stderr.startswith("error: no package may be under GPL, AGPL or no known licence, found asked (")
        assert len(done.stderr.splitlines()) == 1


LOOKED_UP = {"name": "NumPy", "version": "2", "vulns": []}
AUDITS = {
    "nothing": ([], "found 0 of 2; numpy: no answer"),
    "one of two": ([LOOKED_UP], "found 1 of 2; torch: no answer"),
    "one left out": ([LOOKED_UP, {"name": "torch", "skip_reason": "not found"}], "1 of 2; torch: not found"),
    "one vulnerable": ([LOOKED_UP, {"name": "torch", "vulns": [{"id": "CVE-1"}]}], r"found torch \(CVE-1\)"),
}


@pytest.mark.parametrize(("rows", "said"), AUDITS.values(), ids=AUDITS)
def test_an_audit_that_looked_up_less_than_everything_fails(rows, said):
    with pytest.raises(ValueError, match=said):
        check_vulnerabilities({"numpy": "2", "torch": "2"}, {"dependencies": rows})


def test_an_audit_of_everything_passes():
    said = check_vulnerabilities({"numpy": "2"}, {"dependencies": [LOOKED_UP]})
    assert said == "1 packages looked up, none has a known vulnerability"


@pytest.mark.slow
def test_the_bill_of_materials_holds_what_the_product_installs_and_nothing_else(tmp_path):
    direct = required(RUNTIME)
    packages = installed(direct)
    write_sbom(packages, direct, tmp_path / "sbom.json")
    text = (tmp_path / "sbom.json").read_text()
    bill = json.loads(text)
    assert {one["name"].lower().replace("_", "-"): one["version"] for one in bill["components"]} == packages
    assert {"torch", "monai", "sympy"} < set(packages)  # sympy: torch asks for it
    assert not {"pytest", "ruff", "selenium"} & set(packages)
    assert {one["bom-ref"] for one in bill["components"]} >= {
        ref for one in bill["dependencies"] for ref in one.get("dependsOn", [])
    }
    assert str(ROOT) not in text
