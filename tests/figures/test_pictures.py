# SPDX-License-Identifier: Apache-2.0
"""The figures beside the metrics, on one small training: what they show is what the network did."""

from __future__ import annotations

import json

import numpy as np
import pandas
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from workbench.report.embedding_figure import neighbour_map

WRITTEN = ["features_pca", "features_tsne", "phase_weights", "worst_errors", "missing_phases"]
CLINICAL = ["age", "sex"]


@pytest.fixture(scope="module")
def run(bundle, quick, tmp_path_factory):
    """Results folder and workflow of a training that weighs three phases and the clinical table."""
    folder = tmp_path_factory.mktemp("pictures") / "gated"
    files = ["configs/train.yaml", "configs/fusion/gated.yaml"]
    settings = quick | {"max_epochs": 1, "clinical": CLINICAL}
    return folder, bundle("training", files, output_dir=str(folder), **settings)


@pytest.fixture(scope="module")
def by_hand(run) -> dict:
    """Fused features and weights of the test cases, by the parts of the trained network."""
    _, workflow = run
    network, loader = (workflow.parser.get_parsed_content(key) for key in ("network", "test#dataloader"))
    found: dict[str, list] = {"case": [], "features": [], "weights": [], "true": []}
    network.eval()
    with torch.no_grad():
        for batch in loader:
            tokens = network.tokens(batch["image"], batch["present"])
            fused, aux = network.fusion(*network.with_table(tokens, batch["present"], batch["clinical"]))
            found["case"] += batch["case"]
            found["features"].append(fused)
            found["weights"].append(aux["weights"])
            found["true"] += [["low", "high"][label] for label in batch["label"]]
    return found | {key: torch.cat(found[key]).numpy() for key in ("features", "weights")}


def test_all_figures_are_on_disk_and_in_tensorboard(run):
    folder, _ = run
    assert [name for name in WRITTEN if not (folder / f"{name}.png").is_file()] == []
    images = EventAccumulator(str(folder / "tensorboard")).Reload().Tags()["images"]
    assert {f"test/{name}" for name in WRITTEN} <= set(images)
    assert {"learning_curves", "first_batch", "test/roc"} <= set(images)
    assert not [file.name for file in folder.iterdir() if file.name.startswith(".")]


def test_features_are_those_of_the_network_in_the_order_of_the_predictions(run, by_hand):
    from sklearn.decomposition import PCA

    folder, _ = run
    table = pandas.read_csv(folder / "features.csv")
    predictions = pandas.read_csv(folder / "predictions.csv")
    for column in ("case", "true", "predicted"):
        assert list(table[column]) == list(predictions[column])
    assert list(table["case"]) == by_hand["case"]
    features = table.filter(like="feature_").to_numpy()
    assert features.shape == (8, by_hand["features"].shape[1])
    np.testing.assert_allclose(features, by_hand["features"], rtol=1e-5, atol=1e-6)
    expected = PCA(2, svd_solver="full").fit_transform(by_hand["features"])
    np.testing.assert_allclose(table[["pca_1", "pca_2"]], expected, rtol=1e-3, atol=1e-5)


def test_the_projector_has_one_row_per_case(run):
    folder, _ = run
    place = folder / "tensorboard"
    assert 'tensor_path: "00000/test_features/tensors.tsv"' in (place / "projector_config.pbtxt").read_text()
    metadata = pandas.read_csv(place / "00000" / "test_features" / "metadata.tsv", sep="\t")
    vectors = np.loadtxt(place / "00000" / "test_features" / "tensors.tsv")
    table = pandas.read_csv(folder / "features.csv")
    pandas.testing.assert_frame_equal(metadata, table[["case", "true", "predicted"]])
    np.testing.assert_allclose(vectors, table.filter(like="feature_"), rtol=1e-6)


def test_weights_are_those_of_the_fusion_and_sum_to_one(run, by_hand):
    folder, _ = run
    table = pandas.read_csv(folder / "phase_weights.csv")
    assert list(table) == ["case", "true", "predicted", "pre", "arterial", "portal", "clinical table"]
    assert (list(table["case"]), list(table["true"])) == (by_hand["case"], by_hand["true"])
    weights = table.iloc[:, 3:].to_numpy()
    np.testing.assert_allclose(weights, by_hand["weights"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_nothing_withheld_is_what_the_metrics_say(run):
    folder, _ = run
    table = pandas.read_csv(folder / "missing_phases.csv", keep_default_na=False)
    pairs = ["pre + arterial", "pre + portal", "arterial + portal"]
    assert list(table["withheld"]) == ["", "pre", "arterial", "portal", "(mean)", *pairs, "(mean)"]
    metrics = json.loads((folder / "metrics.json").read_text())
    first = table.iloc[0]
    assert int(first["n"]) == metrics["n"]
    for metric in ("auc", "accuracy"):
        assert float(first[metric]) == metrics["macro"][metric]
        bounds = [float(first[f"{metric}_{side}"]) for side in ("lower", "upper")]
        assert bounds == metrics["macro"][f"{metric}_interval"]


def test_a_withheld_phase_is_one_that_dataset_json_does_not_have(run, bundle, quick, small_phantom, tmp_path):
    folder, _ = run
    content = json.loads((small_phantom / "dataset.json").read_text())
    kept = []
    for case in content["test"]:
        files = case["image"].items()
        left = {name: str(small_phantom / file) for name, file in files if name != "arterial"}
        if left:
            kept.append(case | {"image": left, "roi": str(small_phantom / case["roi"])})
    (tmp_path / "dataset.json").write_text(json.dumps(content | {"training": [], "validation": [], "test": kept}))
    files = [str(folder / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
    output = tmp_path / "out"
    places = {"bundle_root": str(folder), "dataset_dir": str(tmp_path), "output_dir": str(output)}
    bundle("evaluating", files, missing_phases=False, **places)
    assert not (output / "missing_phases.csv").exists()
    table = pandas.read_csv(folder / "missing_phases.csv").set_index("withheld").loc["arterial"]
    metrics = json.loads((output / "metrics.json").read_text())
    assert int(table["n"]) == metrics["n"] == len(kept)
    assert table["auc"] == pytest.approx(metrics["macro"]["auc"])
    assert table["accuracy"] == pytest.approx(metrics["macro"]["accuracy"])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(run):
    folder, workflow = run
    names = ["features.csv", "features_pca.png", "features_tsne.png", "worst_errors.png", "phase_weights.png"]
    names += ["missing_phases.csv", "missing_phases.png"]
    before = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        (folder / name).unlink()
    workflow.parser.get_parsed_content("test#evaluator").run()
    workflow.parser.get_parsed_content("further").run()
    assert {name: (folder / name).read_bytes() for name in names} == before
    features = pandas.read_csv(folder / "features.csv").filter(like="feature_").to_numpy(np.float32)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(2):
        two = neighbour_map(features, 0)
    with threadpool_limits(1):
        assert np.array_equal(neighbour_map(features, 0), two)
