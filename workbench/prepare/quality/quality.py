# SPDX-License-Identifier: Apache-2.0
"""Check the images of a dataset.json: on the screen, and as quality.html."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.cases.document import open_document, read_items
from scripts.cases.splits import Case, patient_of
from scripts.files.atomic import check_writable
from scripts.files.processes import BadCases
from scripts.files.run_folder import refuse_bundle
from workbench.prepare.phase_scale import phase_scales, scale_text
from workbench.prepare.quality.checks import CHECKS
from workbench.prepare.quality.cohort import Finding, together
from workbench.prepare.quality.look import look_at_cases
from workbench.prepare.quality.page import PAGE, check_table, headline, phase_table, write_quality_page


def check_quality(
    dataset_dir: str | Path, output_dir: str | Path | None = None, workers: int | None = None
) -> list[Finding]:
    """Check all images of a dataset, print what was found and write quality.html.

    Args:
        dataset_dir: folder that holds dataset.json, or the path of such a file.
        output_dir: folder that receives quality.html; None takes that of dataset.json.

    Returns:
        All findings, those that would break training first.

    Raises:
        FileNotFoundError: no dataset.json.
        ValueError: a dataset.json that cannot be read or has no case, or a folder that cannot be written.
    """
    document = open_document(dataset_dir)
    items = [
        item | {"structures": document.structures, "outlines": "classes" not in document.content}
        for item in read_items(document, document.phases)
    ]
    if not items:
        raise ValueError(f"{document.file} must list at least one case, found none; list cases in it")
    folder = document.file.parent if output_dir is None else Path(output_dir).expanduser()
    refuse_bundle(folder)
    check_writable(folder, keep=False)
    cases = look_at_cases(items, workers)
    results = [check(cases) for check in CHECKS]
    readable = [
        item | {"image": {phase: file for phase, file in item["image"].items() if not case.phases[phase].problem}}
        for item, case in zip(items, cases, strict=True)
    ]
    scales = phase_scales(readable, document.phases)
    findings = [finding for result in results for finding in result.findings]
    breaking = [finding for finding in findings if finding.breaks_training]
    warnings = [finding for finding in findings if not finding.breaks_training]
    print(f"\n{phase_table(cases, document.phases).text()}\n\n{check_table(results, len(cases)).text()}\n")
    if len(document.phases) > 1:
        print(f"scale: {scale_text(scales)}\n")
    for alike in together(warnings, {case.case: case.files for case in cases}):
        print(f"warning: {alike}")
    for finding in breaking:
        print(f"breaks training: {finding}")
    print(headline(cases, breaking, warnings))
    preparation = [line for line in document.content.get("preparation", []) if isinstance(line, str)]
    write_quality_page(folder, document.name, document.phases, cases, results, scales, preparation)
    return [*breaking, *warnings]


def list_bad(
    name: str,
    phases: Sequence[str],
    cases: Sequence[Case],
    folder: Path,
    workers: int | None = None,
    known: Sequence[str] = (),
) -> BadCases:
    """Check cases that cannot become a dataset.json, and write quality.html.

    Args:
        known: lines that say what is wrong; returned if the check finds nothing.

    Returns:
        The error that names everything that would break training, one line each.
    """
    items = [{"roi": None, **case, "patient": patient_of(case), "split": case.get("split", "")} for case in cases]
    seen = look_at_cases(items, workers)
    results = [check(seen) for check in CHECKS]
    breaking = [finding for result in results for finding in result.findings if finding.breaks_training]
    if not breaking:
        return BadCases(known, len(cases))
    page = write_quality_page(folder, name, phases, seen, results)
    print(f"wrote {page}, which shows what is wrong; there is no dataset.json yet")
    lines = []
    for one in breaking:
        place = one.phase if one.phase == "region" else f"phase {one.phase!r}"
        lines.append(f"case {one.case}: {place}: {one.what}; {one.remedy}")
    return BadCases(lines, len(cases), bad=len({finding.case for finding in breaking}))


def require_quality(dataset_dir: str | Path, output_dir: str | Path | None = None, workers: int | None = None) -> None:
    """Check a dataset as `check_quality` does, and refuse one that would break training."""
    if dataset_dir is None:
        raise ValueError("dataset_dir must be given, found nothing; pass --dataset_dir")
    findings = check_quality(dataset_dir, output_dir, workers)
    number = sum(finding.breaks_training for finding in findings)
    if number:
        raise ValueError(
            f"the images must not break training, found {number} that would, listed above and in {PAGE}; "
            "correct or remove them, and make dataset.json anew where files are to be left out"
        )
