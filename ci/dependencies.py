# SPDX-License-Identifier: Apache-2.0
"""What the product installs: its bill of materials, its licences, its known vulnerabilities.

    python ci/dependencies.py licences | sbom | audit [--requirements FILE ...]

The packages are those of the requirements, and all that they ask for in turn, as this environment has them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
Packages = dict[NormalizedName, str]
RUNTIME = [ROOT / f"requirements{kind}.txt" for kind in ("", "-excel", "-dicom", "-onnx", "-pretrained")]
_COPYLEFT = re.compile(r"\bA?GPL|(?<!Lesser )(?<!Library )General Public|Affero|UNKNOWN", re.IGNORECASE)


def refused(licence: str) -> bool:
    """Whether a package is under the GPL or AGPL and gives no choice of another, or names no licence.

    >>> [refused(text) for text in ("GPL-3.0", "(MIT OR BSD) AND AGPL-3.0", "MIT OR GPL-2.0", "LGPL-2.1", "")]
    [True, True, False, False, True]
    """
    choices = [licence] if " AND " in licence else licence.split(" OR ")
    return all(_COPYLEFT.search(one) or not one.strip() for one in choices)


def required(files: Sequence[Path]) -> list[Requirement]:
    """Return what requirements files name themselves."""
    lines = [line.partition("#")[0].strip() for file in files for line in file.read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def installed(direct: Sequence[Requirement]) -> Packages:
    """Return name -> version of packages and of all that they ask for, as installed.

    Raises:
        ValueError: one of them is not installed, or there is none.
    """
    found: Packages = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(one, "a requirements file") for one in direct]
    while waiting:
        one, by = waiting.pop()
        name = canonicalize_name(one.name)
        for extra in {"", *one.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            try:
                package = metadata.distribution(one.name)
            except metadata.PackageNotFoundError:
                raise ValueError(f"{name} must be installed, {by} asks for it; run make check") from None
            found[name] = package.version
            asked = [Requirement(text) for text in package.requires or []]
            waiting += [(r, name) for r in asked if not r.marker or r.marker.evaluate({"extra": extra})]
    if not found:
        raise ValueError("the requirements must name a package, found none")
    return dict(sorted(found.items()))


def check_licences(packages: Packages) -> str:
    """Raise ValueError unless each package has a licence that may be used; say how many there are."""
    command = ["piplicenses", "--with-system", "--format", "json"]
    told = {canonicalize_name(row["Name"]): row["License"] for row in json.loads(_run(*command))}
    wrong = [f"{name} ({told.get(name, 'not listed')})" for name in packages if refused(told.get(name, ""))]
    if wrong:
        raise ValueError(f"no package may be under GPL, AGPL or no known licence, found {', '.join(wrong)}")
    return f"{len(packages)} packages, none under GPL or AGPL"


def write_sbom(packages: Packages, direct: Sequence[Requirement], file: Path) -> str:
    """Write the CycloneDX bill of materials: the packages, their licences, and which asks for which."""
    project = ["--pyproject", str(ROOT / "pyproject.toml")]
    bill = json.loads(_run("cyclonedx_py", "environment", *project, sys.executable))
    refs = {canonicalize_name(one["name"]): one["bom-ref"] for one in bill["components"]}
    kept = {refs[name] for name in packages}
    root = bill["metadata"]["component"]["bom-ref"]
    bill["components"] = [one for one in bill["components"] if one["bom-ref"] in kept]
    graph: list[dict[str, Any]] = [
        one | {"dependsOn": [ref for ref in one.get("dependsOn", []) if ref in kept]}
        for one in bill["dependencies"]
        if one["ref"] in kept
    ]
    asked = sorted({refs[canonicalize_name(one.name)] for one in direct})
    bill["dependencies"] = [*graph, {"ref": root, "dependsOn": asked}]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill, indent=2) + "\n")
    return f"wrote {file}: {len(packages)} packages"


def look_up(packages: Packages, pins: Path) -> dict[str, Any]:
    """Return what pip-audit says of packages; it knows their versions without a local part (+cpu)."""
    pins.parent.mkdir(parents=True, exist_ok=True)
    pins.write_text("".join(f"{name}=={version.partition('+')[0]}\n" for name, version in packages.items()))
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    return json.loads(_run("pip_audit", *options, "--requirement", str(pins), may_fail=True))


def check_vulnerabilities(packages: Packages, answer: dict[str, Any]) -> str:
    """Raise ValueError for a known vulnerability, and unless every package was looked up."""
    rows = {canonicalize_name(row["name"]): row for row in answer["dependencies"]}
    found = {name: [one["id"] for one in row.get("vulns", [])] for name, row in rows.items()}
    known = [f"{name} ({', '.join(ids)})" for name, ids in found.items() if ids]
    if known:
        raise ValueError(f"no package may have a known vulnerability, found {', '.join(known)}; update them")
    unread = [name for name in packages if "vulns" not in rows.get(name, {})]
    if unread:
        looked = f"{len(packages) - len(unread)} of {len(packages)}"
        why = rows.get(unread[0], {}).get("skip_reason", "no answer")
        raise ValueError(f"every package must be looked up, found {looked}; {unread[0]}: {why}")
    return f"{len(packages)} packages looked up, none has a known vulnerability"


def _run(module: str, *options: str, may_fail: bool = False) -> str:
    done = subprocess.run([sys.executable, "-m", module, *options], capture_output=True, text=True)
    if not done.stdout.strip() or (done.returncode and not may_fail):
        last = (done.stderr.strip() or "nothing said").splitlines()[-1]
        raise ValueError(f"{module} must answer, found status {done.returncode}: {last:.300}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is asked, or end with one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["licences", "sbom", "audit"])
    parser.add_argument("--requirements", nargs="+", type=Path, default=RUNTIME)
    given = parser.parse_args(arguments)
    try:
        direct = required(given.requirements)
        packages = installed(direct)
        if given.what == "licences":
            print(check_licences(packages))
        elif given.what == "sbom":
            print(write_sbom(packages, direct, ROOT / "dist" / "sbom.json"))
        else:
            print(check_vulnerabilities(packages, look_up(packages, ROOT / "dist" / "packages.txt")))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
