# SPDX-License-Identifier: Apache-2.0
"""A phase that is withheld changes the others exactly as its missing file does: every rule and region."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas
import pytest
import torch
from monai.data import DataLoader, list_data_collate
from monai.transforms import Compose, GaussianSmoothd, Identityd, MedianSmoothd, NormalizeIntensityd, SelectItemsd
from scripts.cases.cache import cached_dataset
from scripts.engines.inferer import PhaseInferer, PrepareBatch
from scripts.engines.removal import Removal, images_without
from scripts.transforms.augment import AugmentBatch, PhaseDropout, RandomIntensity
from scripts.transforms.geometry import RandomGeometry
from scripts.transforms.intensity import PercentileIntensityd, WindowIntensityd, ZScoreIntensityd
from scripts.transforms.mask_region import ContourRegiond, MaskRegiond
from scripts.transforms.phases import LoadImagePhasesd, StackPhasesd
from scripts.transforms.region import BoxRegiond, WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd
from torch import Tensor, nn
from workbench.explain.contributions import coalitions, phase_contributions, shapley_values
from workbench.report.withheld import withheld_subsets
from workbench.report.withhold import WithholdPhases

Item = dict[str, Any]
MEASURED = (ZScoreIntensityd, PercentileIntensityd)
RULES = {"window": WindowIntensityd(lower=-50, upper=900)} | {
    f"{rule.__name__[:6]} {'joint' if joint else 'alone'} {statistics}": rule(joint=joint, statistics=statistics)
    for rule, joint, statistics in product(MEASURED, (True, False), ("region", "volume"))
}
REGIONS = {
    "mask": MaskRegiond(margin=6.0),
    "contour": ContourRegiond(margin=4.0),
    "box": BoxRegiond(),
    "whole": WholeVolumeRegiond(),
}


def steps(
    phases: list[str], region: Any, rule: Any, image_filter: Any = None, spacing: float = 3.0, size: int = 12
) -> Compose:
    """Return the preprocessing of train.yaml."""
    return Compose(
        [
            LoadImagePhasesd(phases=phases, reference=phases[1]),
            region,
            ResamplePhasesd(spacing=(spacing,) * 3, size=(size, size, size - 2)),
            rule,
            StackPhasesd(phases=phases),
            image_filter or Identityd(keys="image"),
            SelectItemsd(keys=["image", "present", "label", "case", "patient"], allow_missing_keys=True),
        ]
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[list[str], list[Item]]:
    """Two cases of three phases on grids, and of scales, of their own; the reference of one is oblique."""
    folder, rng = tmp_path_factory.mktemp("cases"), np.random.default_rng(0)
    turn = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]])
    items = []
    for number, matrix in enumerate([np.eye(3), turn]):
        image = {}
        for i, phase in enumerate(["pre", "art", "late"]):
            affine = np.eye(4)
            affine[:3, :3] = (matrix if i == 1 else np.eye(3)) * [2.0 + 0.3 * i, 2.5, 3.0 - 0.4 * i]
            shape = (24 - i, 20 + i, 16 + 2 * i)
            affine[:3, 3] = [-22.0 - i, -24.0 + 1.3 * i, -21.0 - i]
            lump = np.exp(-(((np.indices(shape).T / np.array(shape) - 0.5) ** 2).sum(-1).T) / 0.05)
            voxels = 200.0 * (i + 1) * lump + rng.normal(0, 20.0 * (i + 1), shape)
            path = folder / f"{number}_{phase}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(voxels.astype(np.float32), affine), path)
            image[phase] = str(path)
        mask = np.zeros((40, 40, 40), np.uint8)
        mask[14:27, 15:25, 16:24] = 1
        roi = np.diag([1.1, 1.2, 1.3, 1.0])
        roi[:3, 3] = -22.0
        nibabel.save(nibabel.Nifti1Image(mask, roi), folder / f"{number}_roi.nii.gz")
        items.append(
            {"case": f"c{number}", "patient": f"p{number}", "label": number, "image": image,
             "roi": str(folder / f"{number}_roi.nii.gz"), "box": [[-9, -10, -8], [10, 9, 9]]}
        )  # fmt: skip
    return ["pre", "art", "late"], items


def without_files(item: Item, phases: list[str], shown: list[bool]) -> Item:
    kept = {phase: item["image"][phase] for phase, there in zip(phases, shown, strict=True) if there}
    return item | {"image": kept}


def subsets(count: int) -> list[list[bool]]:
    return [row for row in coalitions(count).tolist() if any(row)]


class Probe(nn.Module):
    """A classifier that shows every voxel: logits are random projections of the phases that are present."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Buffer(torch.randn(3, *shape, generator=generator) / np.prod(shape) ** 0.5)

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        assert present is not None
        seen = torch.where(present[..., None, None, None], image, torch.zeros_like(image))
        return torch.einsum("bpdhw,kpdhw->bk", seen, self.weight) + present.float() @ torch.eye(present.shape[1], 3)


def prepared(transform: Compose, phases: list[str], item: Item) -> dict[tuple[bool, ...], Item]:
    """Return a case as it is prepared without the files of every choice of phases but all."""
    return {tuple(shown): transform(without_files(item, phases, shown)) for shown in subsets(len(phases))}


def answer(probe: nn.Module, item: Item) -> Tensor:
    return probe(item["image"][None], present=item["present"][None])[0].softmax(dim=0)


def withheld(probe: nn.Module, dataset: Any, phases: list[str], folder: Path) -> dict[str, Any]:
    """Return what `WithholdPhases` finds for each case."""
    loader = DataLoader(dataset, batch_size=2)
    withholding = WithholdPhases(
        True, probe, loader, PrepareBatch(), PhaseInferer(), "cpu", phases, ["a", "b", "c"], folder
    )
    return withholding._predict(withheld_subsets(len(phases)))


CHOSEN = [("mask", rule) for rule in RULES] + [
    (region, rule)
    for region in ("contour", "box", "whole")
    for rule in ("window", "ZScore joint region", "Percen joint volume")
]


@pytest.mark.parametrize(("region", "rule"), CHOSEN)
def test_withheld_is_removed(made, tmp_path, rule, region):
    """By `WithholdPhases`, by contributions and in training, whatever the rule and the region."""
    phases, items = made
    transform = steps(phases, REGIONS[region], RULES[rule])
    close = {"rtol": 0, "atol": 1e-3 if "Perc" in rule else 1e-5}
    removed = [prepared(transform, phases, item) for item in items]
    whole = [ways[True, True, True] for ways in removed]
    probe = Probe(tuple(whole[0]["image"].shape))
    dataset = cached_dataset(items, transform, cache="memory", progress=False)

    said = withheld(probe, dataset, phases, tmp_path)
    for item, ways in zip(items, removed, strict=True):
        for i, subset in enumerate(withheld_subsets(3)):
            expected = answer(probe, ways[tuple(p not in subset for p in range(3))])
            torch.testing.assert_close(torch.from_numpy(said[item["case"]].probabilities[i]), expected, **close)

    for item, ready, ways in zip(items, whole, removed, strict=True):
        none = probe(ready["image"][None], present=torch.zeros(1, 3, dtype=torch.bool))[0].softmax(0)
        value = torch.stack([none, *(answer(probe, way) for way in ways.values())])
        without = images_without(item, transform)
        part = phase_contributions(probe, ready["image"], ready["present"], without=without)
        torch.testing.assert_close(part.values, shapley_values(value), **close)

    batch = next(iter(DataLoader(dataset, batch_size=2)))
    for shown, way in removed[0].items():
        mark = torch.tensor([shown, [True] * 3])
        training = PrepareBatch(phase_dropout=lambda present, mark=mark: mark, removal=Removal(dataset))
        image, _, _, optional = training(batch, "cpu")
        seen = torch.tensor(shown)
        torch.testing.assert_close(image[0][seen], way["image"][seen], **close)
        assert torch.equal(image[1], batch["image"][1]), "a case of which nothing is hidden stays as it is"
        assert torch.equal(optional["present"], mark)

    marked = [  # what was said before: the phase marked absent, its traces left in the others
        (whole[0]["image"] - way["image"])[torch.tensor(shown)].abs().max() for shown, way in removed[0].items()
    ]
    assert max(marked) > 0.01, "marking a phase absent would do here, so that nothing is tested"


def test_masks_of_hidden_phases_are_hidden_with_them(made, tmp_path):
    """The region of what is left is that of its own masks, also where the reference itself has none."""
    phases, items = made
    masks = {}
    for phase, low in (("pre", 12), ("late", 18)):
        voxels = np.zeros((40, 40, 40), np.uint8)
        voxels[low : low + 9, 15:25, 16:24] = 1
        affine = np.diag([1.1, 1.2, 1.3, 1.0])
        affine[:3, 3] = -22.0
        masks[phase] = str(tmp_path / f"{phase}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(voxels, affine), masks[phase])
    transform, item = steps(phases, REGIONS["mask"], RULES["window"]), items[0] | {"roi": masks}
    whole, moved = transform(dict(item)), 0
    for shown in subsets(3):
        left = without_files(item, phases, shown)
        left["roi"] = {phase: mask for phase, mask in masks.items() if phase in left["image"]} or masks
        way = transform(left)
        found = images_without(item, transform)(whole["image"], whole["present"], torch.tensor(shown))
        seen = torch.tensor(shown)
        torch.testing.assert_close(torch.as_tensor(found[seen]), torch.as_tensor(way["image"][seen]))
        moved += not torch.equal(torch.as_tensor(whole["image"][seen]), torch.as_tensor(way["image"][seen]))
    assert moved, "no region has moved, so that nothing is tested"


@pytest.mark.parametrize(
    "image_filter",
    [
        NormalizeIntensityd(keys="image", channel_wise=False),
        GaussianSmoothd(keys="image", sigma=1.0),
        MedianSmoothd(keys="image", radius=1),
    ],
)
def test_a_filter_of_the_finished_grid_may_mix_the_phases(made, image_filter):
    phases, items = made
    transform = steps(phases, REGIONS["mask"], ZScoreIntensityd(joint=True), image_filter)
    for shown, way in prepared(transform, phases, items[0]).items():
        whole = transform(dict(items[0]))
        found = images_without(items[0], transform)(whole["image"], whole["present"], torch.tensor(shown))
        seen = torch.tensor(shown)
        torch.testing.assert_close(torch.as_tensor(found[seen]), torch.as_tensor(way["image"][seen]))


@pytest.mark.slow
def test_four_sequences_of_gliomas(test_data, tmp_path):
    """Real files on grids of their own: without T1c, the reference, the answer is that to two files."""
    folder, phases = test_data("tcia_glioma_4seq"), ["fla", "t1c", "t2"]
    items = [
        {"case": case, "label": number,
         "image": {name: str(folder / f"{case}_bet_native_{name}.nii.gz") for name in phases}}
        for number, case in enumerate(["TCGA-DU-7294", "TCGA-FG-6692"])
    ]  # fmt: skip
    transform = steps(phases, WholeVolumeRegiond(), ZScoreIntensityd(joint=True), spacing=10.0, size=22)
    dataset = cached_dataset(items, transform, cache="none")
    probe = Probe((3, 22, 22, 20))
    said = withheld(probe, dataset, phases, tmp_path)
    for item in items:
        for i, subset in enumerate(withheld_subsets(3)):
            way = transform(without_files(item, phases, [p not in subset for p in range(3)]))
            found = torch.from_numpy(said[item["case"]].probabilities[i])
            torch.testing.assert_close(found, answer(probe, way), rtol=0, atol=1e-5)


def hiding(*rows: list[bool]) -> Callable[[Tensor], Tensor]:
    """Return a phase dropout that leaves these phases."""
    return lambda present: torch.tensor(rows)


def test_augmentation_finds_what_it_finds_without_the_file(made):
    """Its shift is in units of the rule, and what lies outside a phase must still be 0."""
    phases, items = made
    transform = steps(phases, REGIONS["contour"], ZScoreIntensityd(joint=True))
    augmentation = AugmentBatch([RandomGeometry(rotate=20.0, translate=2.0), RandomIntensity(0.2, 0.3, 0.1, 0.2)])
    shown = [True, False, True]
    removal = Removal(cached_dataset(items, transform, progress=False))
    alone = list_data_collate([transform(without_files(item, phases, shown)) for item in items])
    whole = list_data_collate([transform(dict(item)) for item in items])
    torch.manual_seed(3)
    expected = PrepareBatch(augmentation)(alone, "cpu")[0]
    torch.manual_seed(3)
    found = PrepareBatch(augmentation, hiding(shown, shown), removal=removal)(whole, "cpu")[0]
    torch.testing.assert_close(found[:, [0, 2]], expected[:, [0, 2]], rtol=0, atol=1e-5)


def test_what_phase_dropout_hides_by_default_keeps_the_grid(made):
    """A window or a rule per phase trains as ever, bit for bit; a joint one lets go of the hidden phase."""
    phases, items = made
    for rule in (WindowIntensityd(lower=-50, upper=900), PercentileIntensityd()):
        transform = steps(phases, REGIONS["mask"], rule)
        dataset = cached_dataset(items, transform, progress=False)
        batch = next(iter(DataLoader(dataset, batch_size=2)))
        given = AugmentBatch([RandomIntensity(noise=0.1)]), PhaseDropout(0.5)
        for hides in ("scale", "slot"):
            torch.manual_seed(0)
            before = PrepareBatch(*given)(batch, "cpu")
            torch.manual_seed(0)
            after = PrepareBatch(*given, removal=Removal(dataset, hides))(batch, "cpu")
            assert torch.equal(before[0], after[0])
            assert torch.equal(before[3]["present"], after[3]["present"])
    transform = steps(phases, REGIONS["mask"], ZScoreIntensityd(joint=True))
    dataset = cached_dataset(items, transform, progress=False)
    batch, shown = next(iter(DataLoader(dataset, batch_size=2))), [True, False, True]
    found = {
        hides: PrepareBatch(phase_dropout=hiding(shown, shown), removal=Removal(dataset, hides))(batch, "cpu")[0]
        for hides in ("slot", "scale", "file")
    }
    assert torch.equal(found["slot"], batch["image"])
    left = found["scale"][0, [0, 2]]
    seen = left[batch["image"][0, [0, 2]] != 0]
    assert (seen.mean().abs(), (seen.std(correction=0) - 1).abs()) < (1e-5, 1e-5)
    gain = torch.corrcoef(torch.stack([seen, batch["image"][0, [0, 2]][batch["image"][0, [0, 2]] != 0]]))
    assert gain[0, 1] > 1 - 1e-6, "the same grid, in another scale"
    assert (found["file"] - found["scale"])[0, [0, 2]].abs().max() > 0.1, "which is another one without it"
    with pytest.raises(ValueError, match=r"phase_dropout_hides must be one of .*found 'grid'"):
        Removal(dataset, "grid")


@pytest.fixture
def apart(made, tmp_path) -> tuple[list[str], list[Item]]:
    """As `made`, but the first and last phase of the first case meet only in the reference phase."""
    phases, items = made
    image = dict(items[0]["image"])
    for phase, moved in (("pre", -22.0), ("late", 27.0)):
        volume = nibabel.load(image[phase])
        affine = volume.affine.copy()
        affine[2, 3] += moved
        image[phase] = str(tmp_path / f"{phase}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(np.asarray(volume.dataobj), affine), image[phase])
    return phases, [items[0] | {"image": image}, items[1]]


def test_a_case_that_does_not_exist_without_a_phase_is_named(apart, tmp_path, caplog):
    phases, items = apart
    transform = steps(phases, WholeVolumeRegiond(), ZScoreIntensityd(joint=True))
    with pytest.raises(RuntimeError):
        transform(without_files(items[0], phases, [True, False, True]))
    dataset = cached_dataset(items, transform, progress=False)
    probe = Probe((3, 12, 12, 10))
    loader = DataLoader(dataset, batch_size=2)
    WithholdPhases(
        True, probe, loader, PrepareBatch(), PhaseInferer(), "cpu", phases, ["a", "b", "c"], tmp_path, draws=20
    ).run()
    assert "test without art: 1 of 2 cases cannot be prepared from the rest and are taken out: c0" in caplog.text
    table = pandas.read_csv(tmp_path / "missing_phases.csv", keep_default_na=False)
    assert dict(zip(table["withheld"], table["n"], strict=True))["art"] == 1
    batch, shown = next(iter(loader)), [True, False, True]
    training = PrepareBatch(phase_dropout=hiding(shown, shown), removal=Removal(dataset))
    caplog.clear()
    for _ in range(2):
        image, _, _, optional = training(batch, "cpu")
    assert optional["present"].tolist() == [[True, True, True], shown]
    assert torch.equal(image[0], batch["image"][0])
    (line,) = caplog.messages
    assert "phase_dropout keeps phases that it would hide" in line
    assert "case c0" in line


def test_what_is_kept_follows_the_cache(made, tmp_path, monkeypatch):
    phases, items = made
    transform, opened = (steps(phases, REGIONS["mask"], PercentileIntensityd(joint=True, statistics="volume")), [])
    call = LoadImagePhasesd.__call__
    monkeypatch.setattr(LoadImagePhasesd, "__call__", lambda self, item: (opened.append(1), call(self, item))[1])
    shown, found = torch.tensor([True, False, True]), {}
    for cache, times in (("memory", 1), ("disk", 1), ("none", 3)):
        dataset = cached_dataset(items, transform, cache, tmp_path, progress=False)
        removal = Removal(dataset)
        opened.clear()
        found[cache] = [removal("c0", torch.ones(3, dtype=torch.bool), shown) for _ in range(3)]
        assert len(opened) == times, cache
        if cache == "disk":
            again = Removal(cached_dataset(items, transform, cache, tmp_path, progress=False))
            assert torch.equal(again("c0", torch.ones(3, dtype=torch.bool), shown), found[cache][0])
            assert len(opened) == times
    for cache, images in found.items():
        assert all(torch.equal(image, found["memory"][0]) for image in images), cache


@pytest.mark.parametrize("lacking", [None, "late_coronal", "pre_axial", "late_axial"])
@pytest.mark.parametrize("reference", ["pre_axial", "late_axial"])
def test_views_of_a_phase_are_removed_together(made, lacking, reference):
    """Images of two views of two phases, as `GivenViews` takes them; a case may lack one of them."""
    _, items = made
    paths = [path for item in items for path in item["image"].values()]
    names = ["pre_axial", "pre_coronal", "late_axial", "late_coronal"]
    item = items[0] | {"image": dict(zip(names, [paths[0], paths[3], paths[2], paths[5]], strict=True))}
    item["image"].pop(lacking, None)
    transform = Compose(
        [
            LoadImagePhasesd(phases=names, reference=reference),
            WholeVolumeRegiond(),
            ResamplePhasesd(spacing=(3, 3, 3), size=(12, 12, 10)),
            ZScoreIntensityd(joint=True),
            StackPhasesd(phases=names, num_phases=2),
        ]
    )
    whole = transform(dict(item))
    found = images_without(item, transform)(whole["image"], whole["present"], torch.tensor([False, True]))
    late = {name: path for name, path in item["image"].items() if name.startswith("late")}
    expected = transform(item | {"image": late})["image"]
    torch.testing.assert_close(found[2:], expected[2:])
    assert (found[2:] - whole["image"][2:]).abs().max() > 0.1


@pytest.mark.slow
def test_the_figure_of_missing_phases_is_what_a_dataset_without_them_gets(trained, bundle, small_phantom, tmp_path):
    """By the commands: the reference phase withheld from the test cases, and taken out of dataset.json."""
    document = json.loads((small_phantom / "dataset.json").read_text())
    for split in ("training", "validation", "test"):
        kept = []
        for case in document[split]:
            image = {name: str(small_phantom / path) for name, path in case["image"].items() if name != "portal"}
            if image:
                kept.append(case | {"image": image, "roi": str(small_phantom / case["roi"])})
        document[split] = kept
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(document))
    files = [str(trained / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
    output = tmp_path / "out"
    bundle("evaluating", files, bundle_root=str(trained), dataset_dir=str(tmp_path / "data"), output_dir=str(output))
    removed = json.loads((output / "metrics.json").read_text())["macro"]
    withheld = pandas.read_csv(trained / "missing_phases.csv", keep_default_na=False).set_index("withheld")
    for metric in ("auc", "accuracy"):
        assert float(withheld.loc["portal", metric]) == pytest.approx(removed[metric], abs=1e-9)
