# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from importlib import import_module

import pytest
from monai.transforms import Compose, Identityd
from scripts.files.errors import message_of
from scripts.keys.check import check_command, check_keys, check_order, known_keys, page, with_comments
from scripts.keys.declared import COMMANDS, FILES, keys_of
from scripts.keys.key_types import content_of

from tests.conftest import ROOT


def test_misspelt_key_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown key 'max_epoch'.*did you mean 'max_epochs'"):
        check_keys({"max_epochs": 1, "max_epoch": 2}, ["max_epochs"])


def test_a_users_own_key_is_fine_when_something_refers_to_it_or_it_is_run():
    config = {"network_def": {"width": "@my_width"}, "my_width": 3, "mine": ["$print(1)"], "other": 1}
    check_keys(config, ["network_def"], run_id="other")


def test_known_keys_include_overlays_and_nested_overrides(tmp_path):
    (tmp_path / "fusion").mkdir()
    (tmp_path / "train.yaml").write_text("a: 1\n")
    (tmp_path / "fusion" / "x.yaml").write_text("b: 1\ntest#data: 2\n+c#d: [1]\n")
    assert known_keys(tmp_path) == {"a", "b", "test", "c"}


def test_a_users_mistake_is_one_line_through_monais_wrapping():
    def wrapped() -> None:
        try:
            check_keys({"lerning_rate": 1}, ["learning_rate"])
        except ValueError as error:
            raise RuntimeError("Failed to evaluate <...many lines...>") from error

    with pytest.raises(RuntimeError) as caught:
        wrapped()
    message = message_of(caught.value)
    assert message is not None
    assert message.startswith("unknown key 'lerning_rate'")
    assert "\n" not in message


def test_a_transform_that_cannot_work_is_named():
    with pytest.raises(RuntimeError) as caught:
        Compose([Identityd(keys="imgae")])({"image": 1})
    expected = "the transform Identityd fails with KeyError: 'Key `imgae` of transform `Identityd` was"
    assert str(message_of(caught.value)).startswith(expected)


def test_a_defect_of_the_program_keeps_its_traceback():
    with pytest.raises(KeyError) as caught:
        {}["x"]
    assert message_of(caught.value) is None


def test_an_overlay_before_the_file_that_undoes_it_is_refused(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("max_epochs: 5\nfusion: {_target_: scripts.networks.fusion.Mean, _mode_: callable}\n")
    train, compare = ROOT / "configs" / "train.yaml", ROOT / "configs" / "compare.yaml"
    with pytest.raises(ValueError, match=r"mine.yaml must be named after .*max_epochs, fusion"):
        check_order([overlay, train])
    check_order([train, overlay])
    check_order([train, compare, overlay])  # a comparison has a name of its own
    same = tmp_path / "same.yaml"
    same.write_text("max_epochs: 60\n")
    check_order([same, train])  # nothing is undone


def test_a_key_of_an_overlay_that_is_not_named_is_refused():
    configs = ROOT / "configs"
    with pytest.raises(ValueError, match=r"--single_phase is a key of configs/fusion/single.yaml"):
        check_command(["single_phase"], content_of(configs / "train.yaml"), configs, "training")
    with_overlay = content_of(configs / "train.yaml") | content_of(configs / "fusion" / "single.yaml")
    check_command(["single_phase"], with_overlay, configs, "training")


def test_every_key_of_an_overlay_that_is_named_may_be_given():
    """The outliner reads keys that nothing in the file refers to."""
    configs = ROOT / "configs"
    files = [str(configs / "train.yaml"), str(configs / "regions" / "outlined.yaml")]
    merged = content_of(configs / "train.yaml") | content_of(configs / "regions" / "outlined.yaml")
    check_command(keys_of("regions/outlined.yaml"), merged, configs, "training", files)
    with pytest.raises(ValueError, match=r"--outline_max_epochs is a key of configs/regions/outlined\.yaml"):
        check_command(["outline_max_epochs"], merged, configs, "training", files[:1])


def test_a_command_about_classes_refuses_a_network_that_outlines(say):
    config = content_of(ROOT / "configs" / "outline.yaml")
    with pytest.raises(ValueError, match=r"explaining is about the class of a case, found .* outlines; name") as caught:
        check_command([], config, ROOT / "configs", "explaining")
    say("Settings", "explaining with the files of a network that outlines", caught.value)


def test_comments_and_page_say_what_is_declared():
    """`make twins` writes them."""
    for file in FILES:
        text = (ROOT / "configs" / file).read_text(encoding="utf-8")
        assert with_comments(text, file) == text, file
    assert (ROOT / "docs" / "keys.md").read_text(encoding="utf-8") == page(ROOT / "configs")


def test_every_key_that_a_user_sets_is_declared():
    inner = {"imports", "initialize", "run", "train", "validate", "test", "optimizer", "lr_schedule", *COMMANDS}
    inner |= {"network_def", "preprocessing", "dataset", "prepare_batch", "inferer", "postprocessing"}
    inner |= {"handlers", "evaluator"}
    for file in FILES:
        names = {key for key in content_of(ROOT / "configs" / file) if "#" not in key}
        assert names <= inner | set(keys_of(file)) | set(keys_of("train.yaml")), file


def test_help_shows_each_key_of_the_command_and_runs_nothing(bundle, quick, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(import_module("scripts.engines.run"), "command_line", lambda: ["run", "--help"])
    with pytest.raises(SystemExit) as ended:
        bundle("training", ["configs/train.yaml"], output_dir=str(tmp_path / "out"), **quick)
    said = capsys.readouterr().out
    assert not ended.value.code
    assert "--max_epochs 60\n    passes through the training cases\n    must be a whole number from 1" in said
    assert "--folds" not in said
    assert not (tmp_path / "out").exists()
