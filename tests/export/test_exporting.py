# SPDX-License-Identifier: Apache-2.0
"""Exporting as a user runs it, and predicting with what came out."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from monai.data import save_net_with_metadata
from scripts.files.errors import message_of
from workbench.export import exporting

RUNTIMES = {"torchscript": "model.ts", "onnx": "model.onnx"}


@pytest.fixture(scope="module")
def exported(trained, bundle, tmp_path_factory) -> Path:
    """A copy of a results folder, with its model in every format."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(trained, folder)
    export(bundle, folder, rounds=3)
    return folder


def export(bundle, folder: Path, **overrides) -> None:
    files = [str(folder / "configs" / "inference.yaml"), "configs/export.yaml"]
    bundle("exporting", files, bundle_root=str(folder), **overrides)


def infer(bundle, folder: Path, output: Path, **overrides) -> pandas.DataFrame:
    files = [str(folder / "configs" / "inference.yaml")]
    bundle("inferring", files, bundle_root=str(folder), output_dir=str(output), **overrides)
    return pandas.read_csv(output / "predictions.csv").set_index("case")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_inferring_on_an_exported_file_predicts_the_same(runtime, exported, trained, bundle, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(exported, alone)
    (alone / "models" / "model.pt").unlink()  # the file is enough
    found = infer(bundle, alone, tmp_path / "out", runtime=runtime)
    known = pandas.read_csv(trained / "predictions.csv").set_index("case")
    np.testing.assert_allclose(found.loc[known.index, "p_high"], known["p_high"], atol=1e-5)


def test_an_ensemble_of_exported_files_is_one_of_models(exported, bundle, tmp_path):
    folders = [str(exported), str(exported)]
    known = infer(bundle, exported, tmp_path / "one", runtime="onnx")
    found = infer(bundle, exported, tmp_path / "two", runtime="onnx", ensemble=folders)
    np.testing.assert_allclose(found["p_high"], known["p_high"], atol=1e-6)


def test_a_second_export_gives_the_same_bytes(exported, bundle, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(exported, again)
    for file in RUNTIMES.values():
        (again / "models" / file).unlink()
    export(bundle, again, rounds=0)
    for file in RUNTIMES.values():
        assert (again / "models" / file).read_bytes() == (exported / "models" / file).read_bytes(), file


def test_the_table_says_how_large_how_equal_and_how_fast(exported):
    with (exported / "exports.csv").open(encoding="utf-8") as stream:
        rows = {row["runtime"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["pytorch", "torchscript", "onnx"]
    for row in rows.values():
        size = (exported / "models" / row["file"]).stat().st_size / 1e6
        assert float(row["megabytes"]) == pytest.approx(size, abs=0.06)
        assert float(row["largest_difference"]) <= 1e-4
        assert 0 < float(row["ms_fastest"]) <= float(row["ms_per_case"]) <= float(row["ms_slowest"])
        assert row["rounds"] == "3"


def test_a_file_from_other_weights_is_refused(exported, bundle, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(exported, folder)
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    state["head.bias"] += 1
    torch.save(state, folder / "models" / "model.pt")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        infer(bundle, folder, tmp_path / "out", runtime="onnx")
    message = message_of(caught.value)
    assert message
    assert "model.onnx was made from other weights than" in message
    assert not (tmp_path / "out" / "predictions.csv").exists()


@pytest.mark.parametrize(
    ("spoil", "runtime", "expected"),
    [
        (lambda file: file.unlink(), "onnx", "model.onnx does not exist; make it with `run exporting`"),
        (lambda file: file.write_bytes(file.read_bytes()[:-5000]), "onnx", "model.onnx cannot be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-5000]), "torchscript", "model.ts cannot be read"),
        (lambda file: None, "tensorflow", "runtime must be one of [pytorch, torchscript, onnx]"),
    ],
)
def test_what_cannot_be_used_is_one_line(spoil, runtime, expected, exported, bundle, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(exported, folder)
    spoil(folder / "models" / RUNTIMES.get(runtime, "model.onnx"))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        infer(bundle, folder, tmp_path / "out", runtime=runtime)
    message = message_of(caught.value)
    assert message
    assert "\n" not in message
    assert expected in message, message


def test_a_torchscript_file_that_says_nothing_about_itself_is_refused(exported, bundle, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(exported, folder)
    save_net_with_metadata(torch.jit.script(torch.nn.Identity()), str(folder / "models" / "model.ts"))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        infer(bundle, folder, tmp_path / "out", runtime="torchscript")
    assert "must say its classes, clinical" in (message_of(caught.value) or repr(caught.value))


def test_no_file_is_left_of_an_export_that_predicts_something_else(trained, bundle, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    writer = exporting.FORMATS["onnx"]

    def wrong(network, inputs, description, path) -> None:
        with torch.no_grad():
            network.head.bias += 1
            writer(network, inputs, description, path)
            network.head.bias -= 1

    monkeypatch.setitem(exporting.FORMATS, "onnx", wrong)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        export(bundle, folder, formats=["onnx"], rounds=0)
    message = message_of(caught.value)
    assert message
    assert "the exported onnx file must give the logits of PhaseFusionNetwork" in message
    assert sorted(file.name for file in (folder / "models").iterdir()) == ["evidence.npz", "last.pt", "model.pt"]
    assert not (folder / "exports.csv").exists()


def test_an_unknown_format_is_named(trained, bundle):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        export(bundle, trained, formats=["onxx"])
    assert "formats must be a list, each element one of [torchscript, onnx]" in (message_of(caught.value) or "")
    assert "nearest: 'onnx'" in (message_of(caught.value) or "")
