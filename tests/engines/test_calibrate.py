# SPDX-License-Identifier: Apache-2.0
"""Calibrating a model file: idempotent, complete or untouched, with test-time augmentation too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from scripts.engines.calibrate import CalibrateModel
from scripts.engines.checkpoint import save_weights
from scripts.engines.inferer import PrepareBatch, TestTimeInferer
from scripts.metrics.calibration import fit_temperature
from scripts.metrics.prediction_sets import evidence_of
from scripts.networks.calibration import Calibration
from torch import Tensor, nn


class Small(nn.Module):
    """Logits are 3 times the mean of the first phase: not sure enough."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)
        nn.init.constant_(self.head.bias, 0.0)
        self.head.weight = nn.Parameter(torch.tensor([[-3.0], [3.0]]))
        self.calibration = Calibration(2)

    def forward(self, image: Tensor, present: Tensor) -> Tensor:
        return self.calibration(self.head(image[:, :1].mean((2, 3, 4))))


class Halved:
    """A "geometry" of two views: as it is, and of half the intensity."""

    def fixed(self, number: int, seed: int = 0) -> list:
        return [lambda image: image, lambda image: image / 2][:number]


def batches() -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 2, (240,), generator=generator)
    image = torch.randn(240, 1, 2, 2, 2, generator=generator) + 0.5 * (2 * label - 1).reshape(-1, 1, 1, 1, 1)
    parts = zip(image.split(16), label.split(16), strict=True)
    return [{"image": i, "label": y, "present": torch.ones(len(y), 1)} for i, y in parts]


def calibrator(file: Path, views: int = 0, network: nn.Module | None = None) -> CalibrateModel:
    inferer = TestTimeInferer(Halved(), views)
    return CalibrateModel(True, network or Small(), file, batches(), PrepareBatch(), inferer, "cpu")


def test_the_file_gets_temperature_and_threshold_and_nothing_else_changes(tmp_path: Path) -> None:
    file, source = tmp_path / "model.pt", Small()
    torch.save(source.state_dict(), file)
    calibrator(file).run()
    found = torch.load(file, weights_only=True)
    changed = {name for name, value in source.state_dict().items() if not torch.equal(found[name], value)}
    assert changed == {"calibration.temperature", "calibration.threshold"}
    logits = torch.cat([source(batch["image"], batch["present"]) for batch in batches()])[:, None]
    label = torch.cat([batch["label"] for batch in batches()])
    expected = fit_temperature(logits.detach().numpy(), label.numpy())
    assert expected < 0.8
    assert float(found["calibration.temperature"]) == pytest.approx(expected, rel=1e-6)
    risk = (logits[:, 0] / expected).softmax(dim=1)[:, 1] >= found["calibration.threshold"]
    youden = risk[label == 1].float().mean() - risk[label == 0].float().mean()
    every = [(logits[:, 0, 1] >= t) for t in logits[:, 0, 1]]
    best = max((called[label == 1].float().mean() - called[label == 0].float().mean()) for called in every)
    assert youden == pytest.approx(float(best))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_calibrating_again_changes_not_a_byte(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    torch.save(Small().state_dict(), file)
    calibrator(file).run()
    first = file.read_bytes()
    calibrator(file).run()
    assert file.read_bytes() == first


def test_with_several_views_the_averaged_probability_is_what_is_calibrated(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    torch.save(Small().state_dict(), file)
    calibrator(file, views=2).run()
    temperature = float(torch.load(file, weights_only=True)["calibration.temperature"])
    label = torch.cat([batch["label"] for batch in batches()])

    def loss(candidate: float) -> float:
        network = Small().eval()
        network.calibration.temperature.fill_(candidate)
        inferer = TestTimeInferer(Halved(), 2)
        said = [inferer(batch["image"], network, present=batch["present"]) for batch in batches()]
        return float(nn.functional.cross_entropy(torch.cat(said), label))

    grid = np.geomspace(0.9, 1.1, 41) * temperature
    assert abs(int(np.argmin([loss(candidate) for candidate in grid])) - 20) <= 1


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "model.pt"
    torch.save(Small().state_dict(), file)
    before = file.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("torch.save", fail)
    with pytest.raises(OSError, match="disk full"):
        calibrator(file).run()
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_a_network_without_a_place_for_it_says_what_to_do(tmp_path: Path) -> None:
    network = nn.Linear(1, 2)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"Linear must have a Calibration .* or set calibrate: false"):
        calibrator(tmp_path / "model.pt", network=network).run()


def test_the_evidence_is_that_of_the_calibration_cases_alone_where_there_are_any(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    torch.save(Small().state_dict(), file)
    generator = torch.Generator().manual_seed(1)
    held = [
        {
            "image": torch.randn(1, 2, 2, 2, generator=generator),
            "label": i % 2,
            "present": torch.ones(1),
            "case": f"c{i}",
        }
        for i in range(30)
    ]
    loader = DataLoader(Dataset([case | {"case": f"v{i}"} for i, case in enumerate(held[:8])], None), batch_size=4)
    for chosen, source in ((held, "calibration"), ([], "validation")):
        found = CalibrateModel(
            True, Small(), file, loader, PrepareBatch(), TestTimeInferer(), "cpu", ["low", "high"], held_out=chosen
        )
        found.run()
        evidence = evidence_of(file)
        assert evidence is not None
        assert (evidence.source, evidence.count()) == (source, 30 if chosen else 8)
    state = torch.load(file, weights_only=True)
    save_weights(Small(), file)
    assert evidence_of(file) is None, "evidence of earlier weights"
    assert float(state["calibration.temperature"]) > 0


def test_calibration_cases_change_nothing_in_the_weights(tmp_path: Path) -> None:
    found = []
    for held_out in ([], [{"image": torch.ones(1, 2, 2, 2), "label": 0, "present": torch.ones(1), "case": "c"}]):
        file = tmp_path / f"{len(held_out)}.pt"
        torch.save(Small().state_dict(), file)
        loader = DataLoader(
            Dataset(
                [{key: value[0] for key, value in one.items()} | {"case": str(i)} for i, one in enumerate(batches())]
            ),
            batch_size=8,
        )
        CalibrateModel(
            True, Small(), file, loader, PrepareBatch(), TestTimeInferer(), "cpu", ["low", "high"], held_out=held_out
        ).run()
        found.append(torch.load(file, weights_only=True))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
