# SPDX-License-Identifier: Apache-2.0
"""The handlers of single figures on planted predictions: what is shown, and when there is nothing to show."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, Compose
from scripts import build
from scripts.engines.inferer import PhaseInferer, PrepareBatch
from torch import Tensor, nn
from workbench.report.errors import ErrorReport, errors_figure
from workbench.report.features import FeatureReport
from workbench.report.weights import WeightReport
from workbench.report.withhold import WithholdPhases

PHASES, CLASSES = ["pre", "portal"], ["a", "b", "c"]


class Planted(nn.Module):
    """Says what the first three voxels of the last phase hold."""

    def forward(self, image: Tensor, present: Tensor) -> Tensor:
        return image[:, -1, 0, 0, :3]


def case(number: int, probabilities: list[float], label: int | None, pre: bool = True) -> dict[str, Any]:
    image = torch.full((2, 4, 4, 4), float(number + 1))
    image[1, 0, 0, :3] = torch.tensor(probabilities).log()
    item = {"case": f"case{number:02d}", "image": image, "present": torch.tensor([pre, True])}
    return item if label is None else item | {"label": label}


def evaluate(data: list[dict[str, Any]], handler: Any, network: nn.Module, batch_size: int = 2) -> None:
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=batch_size),
        network=network,
        inferer=PhaseInferer(),
        prepare_batch=PrepareBatch(),
        postprocessing=Compose([Activationsd(keys="pred", softmax=True)]),
        val_handlers=[handler],
    ).run()


def wrong_with(number: int, probability: float, pre: bool = True) -> dict[str, Any]:
    """A case of class a that is called b with a probability."""
    return case(number, [(1 - probability) * 0.6, probability, (1 - probability) * 0.4], 0, pre)


def texts(figure: Any) -> list[str]:
    return [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]


@pytest.fixture
def drawn(monkeypatch) -> list:
    """What the error report draws."""
    figures: list = []

    def keep(*given: Any, **named: Any) -> Any:
        figures.append(errors_figure(*given, **named))
        return figures[-1]

    monkeypatch.setattr("workbench.report.errors.errors_figure", keep)
    return figures


def error_report(folder: Path, **more: Any) -> ErrorReport:
    return ErrorReport(folder, PHASES, CLASSES, [1.0, 1.0, 2.0], **more)


def test_the_worst_errors_are_the_surest_ones_and_nothing_else(tmp_path, drawn):
    sure_and_right = [case(n, [0.99, 0.005, 0.005], 0) for n in (0, 7)]
    errors = {1: 0.6, 2: 0.9, 3: 0.5, 4: 0.7, 5: 0.95, 6: 0.8, 8: 0.55, 9: 0.65}
    data = sure_and_right + [wrong_with(n, p, pre=n != 5) for n, p in errors.items()]
    data.append(case(10, [0.001, 0.998, 0.001], None))  # of an unknown class nothing can be said
    order = np.random.default_rng(0).permutation(10).tolist()
    evaluate([data[i] for i in order] + data[10:], error_report(tmp_path), Planted(), batch_size=5)
    # the last case shares no batch with labelled ones, whose keys differ
    found = texts(drawn[0])
    assert [line.split("\n")[0] for line in found] == [f"case{n:02d}" for n in (5, 2, 6, 4, 9, 1)]
    assert found[0] == "case05\ntruth: a\npredicted: b, 95%"
    first, second = drawn[0].axes[0], drawn[0].axes[2]
    assert [text.get_text() for text in first.texts] == ["pre\nmissing"]
    assert not first.images
    assert np.asarray(second.images[0].get_array()).flatten().tolist() == [3.0] * 16, "case02, phase pre"
    assert drawn[0].get_suptitle().startswith("Worst errors, test: 6 of 8 wrong predictions among 10 cases")
    assert (tmp_path / "worst_errors.png").stat().st_size > 5000


def test_slices_lie_in_the_middle_as_radiologists_look_at_them(tmp_path, drawn):
    item = wrong_with(0, 0.9)
    item["image"][0] = torch.arange(64.0).reshape(4, 4, 4)
    evaluate([item], error_report(tmp_path), Planted())
    shown = np.asarray(drawn[0].axes[0].images[0].get_array())
    volume = item["image"][0].numpy()
    np.testing.assert_array_equal(shown, volume[::-1, ::-1, 2].T, "right on the left, anterior above")
    evaluate([item], error_report(tmp_path, view="coronal"), Planted())
    shown = np.asarray(drawn[1].axes[0].images[0].get_array())
    np.testing.assert_array_equal(shown, volume[::-1, 2, ::-1].T, "right on the left, superior above")
    assert drawn[1].axes[0].get_aspect() == 2.0, "a voxel is 2 mm high and 1 mm wide"


def test_no_error_is_said_and_no_label_leaves_nothing(tmp_path, drawn):
    evaluate([case(0, [0.9, 0.05, 0.05], 0)], error_report(tmp_path / "right"), Planted())
    assert [text.get_text() for text in drawn[0].texts] == ["Worst errors, test: none of 1 cases was predicted wrong"]
    evaluate([case(0, [0.9, 0.05, 0.05], None)], error_report(tmp_path / "unknown"), Planted())
    assert not (tmp_path / "unknown").exists()


def fused(n: int, labelled: int, strategy: str = "gated") -> tuple[list[dict[str, Any]], nn.Module]:
    torch.manual_seed(0)
    network = build(PHASES, fusion=strategy, num_classes=3)
    for parameter in network.fusion.parameters():  # as after training: gates start from equal weights
        torch.nn.init.normal_(parameter)
    image = torch.rand(n, 2, 12, 12, 12)
    items = [{"case": f"c{i}", "image": image[i], "present": torch.ones(2) > 0} for i in range(n)]
    return [item | ({"label": i % 3} if i < labelled else {}) for i, item in enumerate(items)], network


def test_cases_of_unknown_class_are_in_the_tables(tmp_path):
    data, network = fused(6, labelled=4)
    evaluate(data, FeatureReport(network, tmp_path, CLASSES), network)
    evaluate(data, WeightReport(network, PHASES, tmp_path, CLASSES), network)
    for name in ("features", "phase_weights"):
        table = pandas.read_csv(tmp_path / f"{name}.csv", keep_default_na=False)
        assert list(table["case"]) == [f"c{i}" for i in range(6)]
        assert list(table["true"]) == ["a", "b", "c", "a", "", ""]
    evaluate(fused(6, labelled=0)[0], WeightReport(network, PHASES, tmp_path / "none", CLASSES), network)
    assert (tmp_path / "none" / "phase_weights.png").is_file()


def test_four_cases_make_no_map_and_the_log_says_so(tmp_path, caplog):
    data, network = fused(4, labelled=4)
    with caplog.at_level(logging.INFO):
        evaluate(data, FeatureReport(network, tmp_path, CLASSES), network)
    assert [r.message for r in caplog.records if "features" in r.message] == [
        "test: no figure of the features, it needs 5 cases"
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["features.csv", "tensorboard"]
    assert len(pandas.read_csv(tmp_path / "features.csv")) == 4


def test_a_strategy_without_weights_or_features_leaves_no_file(tmp_path):
    data, network = fused(5, labelled=5, strategy="concat")
    evaluate(data, WeightReport(network, PHASES, tmp_path, CLASSES), network)
    evaluate([wrong_with(n, 0.9) for n in range(5)], FeatureReport(Planted(), tmp_path, CLASSES), Planted())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_lets_go_of_the_network(tmp_path):
    data, network = fused(6, labelled=6)
    data[5]["image"] = torch.full_like(data[5]["image"], torch.nan)
    report = FeatureReport(network, tmp_path, CLASSES)
    with pytest.raises(ValueError, match="case c5: probabilities must be finite"):
        evaluate(data, report, network)
    assert not network.head._forward_hooks
    evaluate(data[:5], report, network)
    assert len(pandas.read_csv(tmp_path / "features.csv")) == 5


def withholding(folder: Path, data: list[dict[str, Any]], network: nn.Module, **more: Any) -> WithholdPhases:
    settings = {"enabled": True, "phases": PHASES, "classes": CLASSES, "output_dir": folder, "draws": 20}
    loader = DataLoader(Dataset(data), batch_size=4)
    return WithholdPhases(
        network=network, dataloader=loader, prepare_batch=PrepareBatch(), inferer=PhaseInferer(),
        device="cpu", **settings | more,
    )  # fmt: skip


def test_cases_without_a_phase_left_are_taken_out(tmp_path):
    data, network = fused(9, labelled=9)
    data[0]["present"] = torch.tensor([True, False])
    withholding(tmp_path, data, network).run()
    table = pandas.read_csv(tmp_path / "missing_phases.csv", keep_default_na=False)
    counts = dict(zip(table["withheld"], table["n"], strict=True))
    assert counts == {"": 9, "pre": 8, "portal": 9, "(mean)": 8}
    means = table.set_index("withheld")["accuracy"].astype(float)
    assert means["(mean)"] == pytest.approx((means["pre"] + means["portal"]) / 2)


def test_switched_off_one_phase_or_no_label_writes_nothing(tmp_path):
    data, network = fused(6, labelled=0)
    withholding(tmp_path, data, network).run()
    withholding(tmp_path, data, network, enabled=False).run()
    withholding(tmp_path, data, network, phases=["pre"]).run()
    assert list(tmp_path.iterdir()) == []


def test_one_case_is_drawn_without_an_auc(tmp_path):
    data, network = fused(1, labelled=1)
    withholding(tmp_path, data, network).run()
    table = pandas.read_csv(tmp_path / "missing_phases.csv")
    assert table["auc"].isna().all()
    assert table["accuracy"].isin([0.0, 1.0, 0.5]).all()
    assert table["accuracy_lower"].isna().all(), "one patient has no interval"
    assert (tmp_path / "missing_phases.png").is_file()
