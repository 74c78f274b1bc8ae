# SPDX-License-Identifier: Apache-2.0
"""One planted fault, one finding: in a cohort of ten cases with two phases that is otherwise clean."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from workbench.prepare.quality.cohort import Finding
from workbench.prepare.quality.quality import check_quality

from tests.report.page import Page

ROOT = Path(__file__).resolve().parents[3]
EDGE = 24
CASES = [f"c{number}" for number in range(10)]
Change = Callable[[np.ndarray], np.ndarray]


def body(seed: int, gain: float) -> np.ndarray:
    """A body with organs that lie where no flip puts them, of its own size and place, with noise."""
    random = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, EDGE)] * 3, indexing="ij"))
    organs = [
        ((0, 0, 0), 0.9, 60),
        ((0.4, 0.1, 0.3), 0.4, 60),
        ((-0.4, 0.3, 0.1), 0.25, -100),
        ((0, -0.5, -0.5), 0.3, 300),
    ]
    voxels = np.full((EDGE,) * 3, -100.0)
    for centre, radius, value in organs:
        centre = np.array(centre) + random.normal(0, 0.04, 3)
        distance = np.linalg.norm(place - centre[:, None, None, None], axis=0)
        voxels += gain * value / (1 + np.exp(30 * (distance - radius * random.uniform(0.95, 1.05))))
    return np.round(voxels + random.normal(0, 8, voxels.shape)).astype(np.int16)


def save(file: Path, voxels: np.ndarray, spacing: tuple[float, ...] = (2.0, 2.0, 2.5), shift: float = 0.0) -> None:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [shift - 20, -30, 10]
    nibabel.save(nibabel.Nifti1Image(voxels, affine), file)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Ten patients, two phases, a lesion mask and a box each."""
    entries = []
    mask = np.zeros((EDGE,) * 3, np.uint8)
    mask[12:17, 11:16, 13:17] = 1
    for number, case in enumerate(CASES):
        folder = tmp_path / case
        folder.mkdir()
        save(folder / "pre.nii", body(number, 1.0))
        save(folder / "portal.nii", body(100 + number, 1.5))
        save(folder / "lesion.nii", mask)
        image = {phase: f"{case}/{phase}.nii" for phase in ("pre", "portal")}
        entry = {"case": case, "image": image, "roi": f"{case}/lesion.nii", "label": ["low", "high"][number % 2]}
        entries.append(entry | {"box": [[0, -10, 40], [14, 4, 52]]})
    content = {"name": "toy <cohort>", "phases": ["pre", "portal"], "classes": ["low", "high"]}
    content |= {"training": entries[:6], "validation": entries[6:8], "test": entries[8:]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def change(folder: Path, case: str, phase: str, voxels: Change, dtype: type = np.int16) -> None:
    file = folder / case / f"{phase}.nii"
    image = nibabel.load(file)
    changed = nibabel.Nifti1Image(voxels(np.array(image.dataobj, dtype=dtype)), image.affine)
    file.unlink()
    nibabel.save(changed, file)


def edit(folder: Path, case: str, **values: object) -> None:
    content = json.loads((folder / "dataset.json").read_text())
    for entry in [*content["training"], *content["validation"], *content["test"]]:
        if entry["case"] == case:
            entry.update(values)
    (folder / "dataset.json").write_text(json.dumps(content))


def only(folder: Path) -> Finding:
    findings = check_quality(folder, workers=1)
    assert len(findings) == 1, [str(finding) for finding in findings]
    return findings[0]


def expect(finding: Finding, case: str, phase: str, breaks_training: bool, what: str) -> None:
    assert (finding.case, finding.phase, finding.breaks_training) == (case, phase, breaks_training)
    assert re.search(what, finding.what), finding.what
    assert finding.remedy


def test_clean_data_has_no_finding_and_every_check_looked_at_it(cohort, capsys):
    assert check_quality(cohort, workers=2) == []
    printed = capsys.readouterr().out
    assert "10 cases with 20 volumes: nothing would break training, no warnings." in printed
    looked_at = re.findall(r"^(.+?)\s{2,}0\s{2,}0\s{2,}(\d+) (volumes|regions|pairs)", printed, re.M)
    assert {check: int(number) for check, number, _ in looked_at} == {
        "readable": 20,
        "headers that leave something open": 20,
        "NaN or infinite voxels": 20,
        "empty or constant volume": 20,
        "region inside the images": 20,
        "phases overlap in space": 10,
        "orientation": 20,
        "repeated slices": 20,
        "missing slices": 20,
        "unusual spacing": 20,
        "unusual intensities": 20,
        "identical volumes": 20,
    }


def test_the_phantom_has_no_finding(small_phantom, tmp_path):
    assert check_quality(small_phantom, tmp_path, workers=1) == []


def test_a_file_that_is_gone(cohort):
    (cohort / "c3/portal.nii").unlink()
    expect(only(cohort), "c3", "portal", True, "no file")


def test_a_truncated_file(cohort):
    file = cohort / "c3/portal.nii"
    file.write_bytes(file.read_bytes()[:5000])
    expect(only(cohort), "c3", "portal", True, "24 x 24 x 24 voxels of 2 bytes declared, more than a file of 5,000")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha"])
def test_a_header_that_claims_a_million_million_voxels_allocates_nothing(cohort, ending):
    import tracemalloc

    file = cohort / "c3" / f"huge{ending}"
    if ending == ".mha":
        lines = ["ObjectType = Image", "NDims = 3", "DimSize = 10000 10000 10000", "ElementType = MET_SHORT"]
        file.write_text("\n".join([*lines, "ElementSpacing = 1 1 1", "ElementDataFile = LOCAL", ""]))
    else:
        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.int16)
        header.set_data_shape((10000, 10000, 10000))
        header.set_sform(np.eye(4), code=1)
        header["magic"], header["vox_offset"] = b"n+1", 352
        content = header.binaryblock + b"\0" * 4000
        file.write_bytes(gzip.compress(content) if ending == ".nii.gz" else content)
    edit(cohort, "c3", image={"pre": "c3/pre.nii", "portal": f"c3/huge{ending}"})
    tracemalloc.start()
    finding = only(cohort)
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    expect(finding, "c3", "portal", True, r"10,000 x 10,000 x 10,000")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_without_a_number(cohort, value):
    def spoil(voxels):
        voxels[3, 4, 5:7] = value
        return voxels

    change(cohort, "c4", "pre", spoil, np.float32)
    expect(only(cohort), "c4", "pre", True, r"2 of 13,824 voxels \(0.0145%\)")


def test_a_volume_without_any_number(cohort):
    change(cohort, "c4", "pre", lambda voxels: voxels * np.nan, np.float32)
    expect(only(cohort), "c4", "pre", True, r"13,824 of 13,824 voxels \(100%\)")


def test_a_constant_volume(cohort):
    change(cohort, "c4", "pre", lambda voxels: voxels * 0 + 7)
    expect(only(cohort), "c4", "pre", True, "all voxels are 7 ")


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ((0,), "left and right"),
        ((1,), "front and back"),
        ((2,), "top and bottom"),
        ((0, 1), "left and right and with front"),
    ],
)
def test_a_volume_that_is_mirrored_or_turned(cohort, axes, text):
    change(cohort, "c7", "portal", lambda voxels: np.flip(voxels, axes))
    expect(only(cohort), "c7", "portal", False, f"{text}.* exchanged")


def test_a_volume_with_other_axes_but_a_right_header_is_no_finding(cohort):
    file = cohort / "c7/portal.nii"
    flipped = nibabel.load(file).as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    nibabel.save(nibabel.Nifti1Image(np.array(flipped.dataobj), flipped.affine), cohort / "c7/turned.nii")
    edit(cohort, "c7", image={"pre": "c7/pre.nii", "portal": "c7/turned.nii"})
    assert check_quality(cohort, workers=1) == []


def test_orientation_needs_eight_cases(cohort, capsys):
    change(cohort, "c0", "portal", lambda voxels: voxels[:, :, ::-1])
    content = json.loads((cohort / "dataset.json").read_text())
    content |= {"validation": content["validation"][:1], "test": []}
    (cohort / "dataset.json").write_text(json.dumps(content))
    assert check_quality(cohort, workers=1) == []
    assert re.search(r"^orientation\s+0\s+0\s+0 volumes", capsys.readouterr().out, re.M)


def test_a_repeated_slice(cohort):
    def repeat(voxels):
        voxels[:, :, 9] = voxels[:, :, 8]
        return voxels

    change(cohort, "c2", "pre", repeat)
    expect(only(cohort), "c2", "pre", False, "slices 8 and 9 are identical along the third axis")


def test_equal_slices_of_background_are_no_finding(cohort):
    def pad(voxels):
        voxels[:, :, :4] = -110
        return voxels

    change(cohort, "c2", "pre", pad)
    assert check_quality(cohort, workers=1) == []


def test_missing_slices(cohort):
    """A smooth image without its middle slices: the rest has moved together."""

    def cut(voxels):
        place = np.linspace(0, 1, 60)
        smooth = 400 * np.sin(3 * place)[None, None, :] + 100 * place[:24, None, None] + 200 * place[None, :24, None]
        return np.concatenate([smooth[:, :, 5:17], smooth[:, :, 29:41]], axis=2).astype(np.int16)

    change(cohort, "c2", "pre", cut)
    findings = [one for one in check_quality(cohort, workers=1) if "abruptly" in one.what]
    assert len(findings) == 1
    expect(findings[0], "c2", "pre", False, "between slices 11 and 12 along the third axis")


def test_an_empty_mask(cohort):
    change(cohort, "c1", "lesion", lambda voxels: voxels * 0)
    expect(only(cohort), "c1", "region", True, "no voxel above 0")


def test_a_mask_that_is_gone(cohort):
    (cohort / "c1/lesion.nii").unlink()
    expect(only(cohort), "c1", "region", True, "no file")


def test_a_mask_outside_one_phase(cohort):
    mask = np.zeros((EDGE,) * 3, np.uint8)
    mask[3:6, 3:6, 3:6] = 1
    save(cohort / "c1/lesion.nii", mask, shift=-500.0)
    findings = check_quality(cohort, workers=1)
    assert [(one.case, one.phase, one.breaks_training) for one in findings] == [
        ("c1", "pre", True),
        ("c1", "portal", True),
    ]
    assert all("0% of the region's mask" in one.what for one in findings)


def test_a_box_that_sticks_out(cohort):
    edit(cohort, "c1", box=[[22, -10, 40], [62, 4, 52]])
    findings = check_quality(cohort, workers=1)
    assert [(one.phase, one.breaks_training, one.what) for one in findings] == [
        (phase, False, "10% of the region's box lie inside this phase") for phase in ("pre", "portal")
    ]


@pytest.mark.parametrize(("shift", "breaks", "share"), [(30.0, False, "38%"), (400.0, True, "0%")])
def test_phases_apart(cohort, shift, breaks, share):
    save(cohort / "c5/portal.nii", body(105, 1.5), shift=shift)
    edit(cohort, "c5", roi=None, box=None)
    expect(only(cohort), "c5", "portal", breaks, f"shares {share} with that of phase 'pre'")


def test_an_unusual_spacing(cohort):
    save(cohort / "c6/pre.nii", body(6, 1.0), (2.0, 2.0, 7.5))
    expect(only(cohort), "c6", "pre", False, "2 x 2 x 7.5 mm, that of the phase usually 2 x 2 x 2.5 mm")


@pytest.mark.parametrize("spoil", [lambda voxels: voxels * 10, lambda voxels: voxels + 1024])
def test_unusual_intensities(cohort, spoil):
    change(cohort, "c6", "pre", spoil)
    expect(only(cohort), "c6", "pre", False, "98% of its voxels lie from")


def test_the_same_image_twice(cohort):
    (cohort / "c9/pre.nii").write_bytes((cohort / "c2/pre.nii").read_bytes())
    expect(
        only(cohort),
        "c9",
        "pre",
        False,
        r"same voxels as case c2, phase 'pre' \(training\), another patient in another",
    )


def test_the_page_shows_findings_tables_and_pictures(cohort):
    change(cohort, "c4", "pre", lambda voxels: voxels * 0)
    change(cohort, "c7", "portal", lambda voxels: voxels[:, :, ::-1])
    (cohort / "c8/pre.nii").write_bytes(b"nothing")
    check_quality(cohort, workers=1)
    page = Page((cohort / "quality.html").read_text(encoding="utf-8"))
    assert page.all("h1")[0].text == "Quality of toy <cohort>"
    assert [one.text for one in page.all("h2")] == [
        "Breaks training (n = 2)",
        "Warnings: worth a look (n = 1)",
        "Images",
        "Cases (n = 10 of 10 cases)",
    ]
    listed = [one.all("strong")[0].text for one in page.all("li")]
    assert listed == ["case c8, phase 'pre':", "case c4, phase 'pre':", "case c7, phase 'portal':"]
    names = [one.all("figcaption")[0].text for one in page.all("figure") if one.all("img")]
    assert names[:3] == ["c4", "c7", "c8"]
    assert sorted(names) == CASES
    assert len(page.all("img")) == 19
    assert all(one.attributes["src"].startswith("data:image/png;base64,") for one in page.all("img"))
    phases = page.table("Phases")
    assert phases[1][:4] == ["pre", "9 of 10", "0", "24 × 24 × 24"]
    assert len(page.table("Volumes")) == 21


def test_the_pictures_have_an_end(cohort, monkeypatch):
    monkeypatch.setattr("workbench.prepare.quality.page.MOST_BYTES", 20_000)
    for case in CASES:
        change(cohort, case, "pre", lambda voxels: voxels * 0)
    check_quality(cohort, workers=1)
    text = (cohort / "quality.html").read_text(encoding="utf-8")
    shown = len(re.findall('class="marked"', text))
    assert 0 < shown < 10
    assert f"{10 - shown} further cases with a finding are not shown." in text
    assert len(text) < 20_000 + 30_000


@pytest.mark.slow
def test_the_command_ends_with_status_one_where_training_would_break(cohort):
    change(cohort, "c4", "pre", lambda voxels: voxels * 0)
    change(cohort, "c7", "portal", lambda voxels: voxels[:, :, ::-1])
    command = [sys.executable, "-m", "monai.bundle", "run", "checking", "--config_file", "configs/check.yaml"]
    command += ["--dataset_dir", str(cohort), "--output_dir", str(cohort / "out"), "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith(("breaks training: ", "warning: "))]
    assert [line.split(":")[:2] for line in lines] == [
        ["warning", " case c7, phase 'portal'"],
        ["breaks training", " case c4, phase 'pre'"],
    ]
    assert "error: the images must not break training, found 1 that would" in done.stderr
    assert (cohort / "out/quality.html").is_file()
    assert not (cohort / "quality.html").exists()
