# SPDX-License-Identifier: Apache-2.0
"""ACDC with the experts' chambers as images."""

from __future__ import annotations

import json

import pytest

from benchmarks.acdc_chambers import main


@pytest.mark.parametrize("mark", ["_gt", "_seg"])
def test_every_phase_is_its_own_mask_and_all_else_stays(tmp_path, mark):
    images = {phase: f"p1/{phase}.nii.gz" for phase in ("ed", "es")}
    case = {"case": "p1", "label": "NOR", "roi": "p1/roi.nii.gz", "box": [[0, 0, 0], [1, 1, 1]]}
    (tmp_path / "in" / "p1").mkdir(parents=True)
    for phase in images:
        (tmp_path / "in" / "p1" / f"{phase}{mark}.nii.gz").touch()
    content = {"phases": ["ed", "es"], "training": [case | {"image": images}], "validation": [], "test": []}
    (tmp_path / "in" / "dataset.json").write_text(json.dumps(content))
    main([f"--dataset={tmp_path / 'in'}", f"--output={tmp_path / 'out'}"])
    written = json.loads((tmp_path / "out" / "dataset.json").read_text())
    folder = tmp_path / "in" / "p1"
    masks = {phase: str(folder / f"{phase}{mark}.nii.gz") for phase in images}
    assert written["training"] == [case | {"image": masks, "roi": str(folder / "roi.nii.gz")}]
    assert written["phases"] == ["ed", "es"]


def test_an_image_without_chambers_is_named(tmp_path):
    case = {"image": {"ed": "ed.nii.gz"}, "roi": "roi.nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps({"test": [case]}))
    with pytest.raises(FileNotFoundError, match=r"ed\.nii\.gz must have .* as ed_gt\.nii\.gz or ed_seg"):
        main([f"--dataset={tmp_path}", f"--output={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()
