# SPDX-License-Identifier: Apache-2.0
"""Opening the phases of a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.transforms import LoadImaged
from scripts.transforms.phases import LoadImagePhasesd

PHASES = ["pre", "arterial", "portal"]


@pytest.fixture
def item(save, smooth) -> dict:
    paths = {phase: save(phase, smooth((6, 7, 8), seed)) for seed, phase in enumerate(["portal", "pre"])}
    return {"case": "p017", "image": paths, "roi": save("roi", np.ones((6, 7, 8), dtype=np.uint8))}


def load(**settings) -> LoadImagePhasesd:
    return LoadImagePhasesd(keys="image", phases=PHASES, **settings)


def test_phases_come_in_the_declared_order_and_absent_ones_are_left_out(item) -> None:
    loaded = load(reference="portal")(item)
    assert list(loaded["image"]) == ["pre", "portal"]
    assert loaded["reference"] == "portal"
    assert loaded["roi"].shape == (6, 7, 8)
    assert item["image"]["portal"].endswith(".nii.gz"), "the item given is not changed"


def test_no_voxel_is_read(item, monkeypatch) -> None:
    def refuse(*_) -> None:
        raise AssertionError("voxels were read")

    monkeypatch.setattr("nibabel.arrayproxy.ArrayProxy.__getitem__", refuse)
    monkeypatch.setattr("nibabel.arrayproxy.ArrayProxy.__array__", refuse)
    load()(item)


def test_the_first_phase_there_stands_in_for_an_absent_reference(item) -> None:
    assert load(reference="arterial")(item)["reference"] == "pre"


def test_none_is_an_absent_phase_and_an_absent_roi(item) -> None:
    item["image"]["arterial"] = item["roi"] = None
    loaded = load()(item)
    assert list(loaded["image"]) == ["pre", "portal"]
    assert loaded["roi"] is None


@pytest.mark.parametrize(
    ("there", "drawn", "taken"),
    [
        (["pre", "portal"], ["pre", "portal"], "portal"),
        (["pre", "portal"], ["pre"], "pre"),
        (["pre", "arterial"], ["pre", "arterial", "portal"], "pre"),
        (["arterial"], ["pre", "portal"], "pre"),
    ],
)
def test_of_masks_per_phase_the_region_takes_that_of_the_reference(there, drawn, taken, save, smooth) -> None:
    image = {phase: save(phase, smooth((6, 7, 8))) for phase in there}
    masks = {phase: save(f"{phase}_roi", np.ones((6, 7, 8), np.uint8)) for phase in drawn}
    loaded = load(reference="portal")({"case": "p017", "image": image, "roi": masks})
    assert str(loaded["roi"].path) == masks[taken]
    assert {phase: str(mask.path) for phase, mask in loaded["masks"].items()} == masks


def test_one_mask_serves_all_phases_and_that_of_a_phase_not_used_only_the_region(item, save) -> None:
    assert list(load()(item)["masks"]) == ["roi"]
    assert load()(item | {"roi": None})["masks"] == {}
    late = load()(item | {"roi": {"late": item["roi"]}})
    assert (str(late["roi"].path), late["masks"]) == (item["roi"], {})


def test_a_mask_elsewhere_in_space(item, save, say) -> None:
    far = np.eye(4)
    far[0, 3] = 100.0
    mask = save("far", np.ones((6, 7, 8), np.uint8), far)
    for roi, name in ((mask, "roi"), ({"portal": mask}, "roi of phase 'portal'")):
        match = rf"^case p017: {name} must overlap phase 'p\w+', found them 94 mm apart in .*mask out of the case"
        with pytest.raises(ValueError, match=match) as raised:
            load(reference="portal")(item | {"roi": roi})
    say("Masks", "a mask outside its phase", raised.value)


def test_monai_label_replaces_subclasses_of_its_own_loader() -> None:
    assert not issubclass(LoadImagePhasesd, LoadImaged)
    assert LoadImagePhasesd.__name__.startswith("LoadImage")


def test_unknown_phase_names_the_nearest(item) -> None:
    item["image"]["portl"] = item["image"].pop("portal")
    with pytest.raises(ValueError, match=r"^case p017: phase 'portl' .*nearest: 'portal'.*portal.nii.gz; correct"):
        load()(item)


def test_all_phases_missing() -> None:
    with pytest.raises(ValueError, match=r"^case p017: at least one of the phases \[pre, arterial, portal\]"):
        load()({"case": "p017", "image": {"pre": None}})


def test_missing_file_names_case_and_phase(item, tmp_path: Path) -> None:
    item["image"]["pre"] = str(tmp_path / "none.nii.gz")
    with pytest.raises(FileNotFoundError, match=r"^case p017: phase 'pre': the volume must exist.*none.nii.gz"):
        load()(item)
    item["image"].pop("pre")
    item["roi"] = str(tmp_path / "none.nii.gz")
    with pytest.raises(FileNotFoundError, match=r"^case p017: roi: the volume must exist"):
        load()(item)


def test_a_phase_elsewhere_in_space(item, save, smooth) -> None:
    away = np.eye(4)
    away[2, 3] = 100.0
    item["image"]["pre"] = save("away", smooth((6, 7, 8)), away)
    with pytest.raises(ValueError, match=r"^case p017: phase 'pre' must overlap .*'portal', found them 92 mm apart"):
        load(reference="portal")(item)


def test_settings() -> None:
    with pytest.raises(ValueError, match="nearest: 'portal'"):
        load(reference="Portl")
    with pytest.raises(ValueError, match="at least one phase"):
        LoadImagePhasesd()
