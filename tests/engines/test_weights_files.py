# SPDX-License-Identifier: Apache-2.0
"""Weights that hold code are refused and never run; damaged ones are one line."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from scripts.engines.network import read_weights
from scripts.files.errors import message_of


class Evil:
    """What a pickle runs when it is read: a command that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def plant(file: Path, kind: str, mark: Path) -> None:
    """Write a weights file with code in it, and prove that the code would run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"weight": torch.zeros(2), "network": Evil(mark)}
    if kind == "torch":
        torch.save(content, file)
        torch.load(file, weights_only=False)
    else:
        file.write_bytes(pickle.dumps(Evil(mark)))
        pickle.loads(file.read_bytes())
    assert mark.exists()
    mark.unlink()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_code_in_a_weights_file_is_refused_and_not_run(kind, tmp_path, say):
    plant(tmp_path / "model.pt", kind, tmp_path / "mark")
    with pytest.raises(
        ValueError, match=r"model\.pt must hold weights only, found code in it, which was not run"
    ) as caught:
        read_weights(tmp_path / "model.pt")
    assert not (tmp_path / "mark").exists()
    say("Weights and checkpoints", f"code in `model.pt`, saved with {kind}", caught.value)


def outcome(bundle, run_id: str, files: list[str], **settings) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle(run_id, files, **settings)
    message = message_of(caught.value)
    assert message, repr(caught.value)
    return message


@pytest.mark.parametrize("place", ["start_weights", "last.pt", "evaluating", "inferring", "explaining"])
def test_no_command_runs_code_in_weights(place, trained, bundle, quick, tmp_path, say):
    """Also those of MONAI Label, which calls `inferring`."""
    mark, folder = tmp_path / "mark", tmp_path / "folder"
    shutil.copytree(trained, folder)
    weights = folder / "models" / ("last.pt" if place == "last.pt" else "model.pt")
    plant(weights, "torch", mark)
    before = sorted(path for path in folder.rglob("*"))
    configs = folder / "configs"
    if place == "start_weights":
        settings = quick | {"output_dir": str(tmp_path / "out"), "start_weights": str(weights)}
        message = outcome(bundle, "training", ["configs/train.yaml"], **settings)
    elif place == "last.pt":
        settings = quick | {"output_dir": str(folder), "resume": True}
        message = outcome(bundle, "training", ["configs/train.yaml"], **settings)
    else:
        inference = str(configs / "inference.yaml")
        files = {
            "evaluating": [str(configs / "train.yaml"), str(configs / "evaluate.yaml")],
            "inferring": [inference],
            "explaining": [inference, "configs/explain.yaml"],
        }[place]
        settings = {"bundle_root": str(folder), "output_dir": str(tmp_path / "out")}
        message = outcome(bundle, place, files, **settings)
    assert f"{weights} must hold weights only, found code in it" in message
    assert not mark.exists()
    assert sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts) == before
    say(
        "Weights and checkpoints",
        f"code in the weights of {place}".replace("of last.pt", "of `last.pt`, on resume"),
        message,
    )


def test_a_cache_entry_with_code_is_prepared_again(tmp_path, caplog, say):
    from monai.transforms import Compose, Lambdad
    from scripts.cases.cache import cached_dataset

    items = [{"case": "a", "value": 1.0}]
    chain = Compose([Lambdad("value", func=lambda value: value + 1)])
    cached_dataset(items, chain, cache="disk", cache_dir=tmp_path / "cache", progress=False)
    (entry,) = (tmp_path / "cache").glob("*.pt")
    plant(entry, "torch", tmp_path / "mark")
    dataset = cached_dataset(items, chain, cache="disk", cache_dir=tmp_path / "cache", progress=False)
    assert float(dataset[0]["value"]) == 2.0
    assert not (tmp_path / "mark").exists()
    assert torch.load(entry, weights_only=True)["item"]["value"] == 2.0
    (said,) = [record.getMessage() for record in caplog.records if "cannot be read" in record.getMessage()]
    say("Weights and checkpoints", "code in an entry of the disk cache", said.replace(entry.name, "0123abcd.pt"))


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_one_line(kept, trained, bundle, quick, tmp_path, say):
    folder = tmp_path / "folder"
    shutil.copytree(trained, folder)
    file = folder / "models" / "last.pt"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    settings = quick | {"output_dir": str(folder), "resume": True}
    message = outcome(bundle, "training", ["configs/train.yaml"], **settings)
    assert f"{file} cannot be read" in message
    assert file.read_bytes() == content[: int(kept * len(content)) if kept < 1 else int(kept)]
    say("Weights and checkpoints", "`last.pt` of which a part is left, on resume", message)


def test_a_checkpoint_that_is_no_checkpoint(trained, bundle, quick, tmp_path, say):
    folder = tmp_path / "folder"
    shutil.copytree(trained, folder)
    shutil.copyfile(folder / "models" / "model.pt", folder / "models" / "last.pt")
    message = outcome(
        bundle, "training", ["configs/train.yaml"], **(quick | {"output_dir": str(folder), "resume": True})
    )
    assert "last.pt must hold a training to go on with" in message
    say("Weights and checkpoints", "`model.pt` in the place of `last.pt`, on resume", message)


def test_weights_that_are_no_tensors(tmp_path, say):
    torch.save(json.loads("[1, 2]"), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="must hold a flat state dict of tensors, found list") as caught:
        read_weights(tmp_path / "model.pt")
    say("Weights and checkpoints", "`model.pt` that holds a list", caught.value)
    with pytest.raises(FileNotFoundError, match="does not exist; train first") as missing:
        read_weights(tmp_path / "none.pt")
    say("Weights and checkpoints", "no `model.pt`", missing.value)


@pytest.mark.parametrize("entry", ["network", "state_dict", "model"])
def test_weights_are_found_in_a_checkpoint(entry, tmp_path):
    weight = torch.rand(3)
    torch.save({entry: {"layer.weight": weight}, "train_conf": {"name": "any"}}, tmp_path / "checkpoint.pt")
    found = read_weights(tmp_path / "checkpoint.pt")
    assert found.keys() == {"layer.weight"}
    assert torch.equal(found["layer.weight"], weight)
