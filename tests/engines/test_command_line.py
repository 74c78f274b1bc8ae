# SPDX-License-Identifier: Apache-2.0
"""What is typed on the command line has the type of the key that it replaces, in every configuration."""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import fire
import pytest
import yaml
from monai.bundle import ConfigWorkflow
from monai.bundle.scripts import run
from scripts.engines.command_line import typed_options
from scripts.files.errors import message_of
from scripts.files.plain_text import is_reference, literal
from scripts.keys.declared import COMMANDS as ALL
from scripts.keys.key_types import KeyTypes
from scripts.keys.typed_values import read_text, typed

from tests.conftest import ROOT

COMMANDS = {
    "training": ["train"],
    "evaluating": ["train", "evaluate"],
    "inferring": ["inference"],
    "explaining": ["inference", "explain"],
    "exporting": ["inference", "export"],
    "predicting": ["inference", "predict"],
    "preparing": ["prepare"],
    "checking": ["check"],
    "comparing": ["compare"],
    "reporting": ["report"],
    "training on GPUs": ["train", "multi_gpu_train"],
}


def from_command_line(command: str, *typed: str, files: list[str] | None = None) -> ConfigWorkflow:
    """Initialise a configuration by Fire, as `python -m monai.bundle run` does, but without running it."""
    found = []

    def only_initialize(run_id=None, config_file=None, **override):
        parts = config_file if isinstance(config_file, list) else [config_file]
        workflow = ConfigWorkflow(config_file=parts, logging_file=False, run_id=run_id, **override)
        found.append(workflow)
        workflow.initialize()

    names = files or [str(ROOT / "configs" / f"{name}.yaml") for name in COMMANDS[command]]
    with contextlib.redirect_stderr(io.StringIO()):
        fire.Fire(only_initialize, command=[command.split()[0], "--config_file", str(names), *typed])
    return found[0]


@pytest.fixture(autouse=True)
def _from_the_bundle(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)


@pytest.fixture
def away(tmp_path) -> list[str]:
    """Options that keep a training from touching the bundle's own folders."""
    return ["--output_dir", str(tmp_path / "out"), "--dataset_dir", str(tmp_path)]


def refusal(command: str, *typed: str) -> str:
    with pytest.raises((RuntimeError, ValueError)) as caught:
        from_command_line(command, *typed)
    message = message_of(caught.value)
    assert message, caught.value
    assert sys.excepthook is not sys.__excepthook__, "it is shown as a traceback"
    assert "\n" not in message
    return message


def test_a_training_that_a_command_starts_takes_nothing_that_was_typed_for_the_command(tmp_path):
    """As `comparing` trains with one job at a time, in its own process."""
    files = {name: str(ROOT / "configs" / f"{name}.yaml") for name in ("compare", "train")}
    own = {"seed": 7, "name": "fold", "output_dir": str(tmp_path / "fold"), "dataset_dir": str(tmp_path)}
    inner = []

    class Comparing(ConfigWorkflow):
        def run(self):
            inner.append(ConfigWorkflow([files["train"]], logging_file=False, run_id="training", **own))
            inner[0].initialize()

    def compare(run_id=None, config_file=None, **override):
        workflow = Comparing([config_file], logging_file=False, run_id=run_id, **override)
        workflow.initialize()
        workflow.run()

    typed_there = ["--seed=3", "--name=all", f"--output_dir={tmp_path / 'all'}", "--dataset_dir=."]
    fire.Fire(compare, command=["comparing", "--config_file", files["compare"], *typed_there])
    assert {key: inner[0].parser[key] for key in own} == own


BOOLS = {
    "training": [
        "calibrate", "missing_phases", "share_views", "share_encoder", "val_by_epoch", "resume",
        "train#trainer#optim_set_to_none", "optimizer#amsgrad",
    ],
    "training on GPUs": ["calibrate"],
    "preparing": ["allow_identical", "keep_suspicious", "keep_ids", "overwrite", "quality", "dry_run"],
    "comparing": ["leave_one_site_out", "share_encoder", "calibrate"],
}  # fmt: skip


@pytest.mark.parametrize("command", BOOLS)
def test_false_is_false_in_every_spelling(command, away):
    options = away if command != "preparing" else []
    for spellings, value in ((("false", "No", "OFF"), False), (("TRUE", "yes", "on"), True)):
        given = dict(zip(BOOLS[command], cycle(spellings), strict=False))
        parser = from_command_line(command, *options, *(f"--{key}={text}" for key, text in given.items())).parser
        assert {key: parser[key] for key in given} == dict.fromkeys(given, value)
    key = BOOLS[command][0]
    assert f"--{key} must be true or false, found 'maybe'" in refusal(command, *options, f"--{key}", "maybe")


TEXTS = ["20240101", "001", "1e5", "0x10", "1_0", "no", "null", "1.0", "None", "False", "~", "2024-01-01", "T1+C"]


@pytest.mark.parametrize("text", ["20240101", "001", "1e5", "null", "1,2"])
def test_a_text_stays_as_it_was_typed(text, away):
    listed = f"[{','.join(TEXTS)}, 'b,c']"
    parser = from_command_line("training", *away, "--name", text, "--classes", listed).parser
    assert (parser["name"], parser["classes"]) == (text, [*TEXTS, "b,c"])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("preparing", {
            "phases": ("['T1','T1+C']", ["T1", "T1+C"]),
            "classes": ("(0,1)", ["0", "1"]),
            "clinical": ("[]", []),
            "labels": ("None", None),
            "folds": ("5", 5),
            "phase_names": (
                "{pre: ['*a#*', 01], late: $c}", {"pre": ["$'*a\\x23*'", "01"], "late": "$'$c'"},
            ),
            "source": ("/data/set #1", "$'/data/set \\x231'"),
            "rules": ("a::b", "$'a\\x3a:b'"),
            "output": ("0123", "0123"),
            "fractions": (".5,.25,.25", [0.5, 0.25, 0.25]),
            "reference_phase": ("none", None),
        }),
        ("comparing", {
            "strategies": ("concat", ["concat"]),
            "training_seeds": ("[0, 1]", [0, 1]),
            "name": ("007", "007"),
            "jobs": ("null", None),
            "learning_rate": ("1e-3", 0.001),
            "scheduler": ("none", None),
        }),
        ("training", {
            "phases": ("'[T1,T1+C]'", ["T1", "T1+C"]),
            "max_epochs": ("'5'", 5),
            "calibrate": ('"off"', False),
            "name": ("it's", "it's"),
            "classes": ("['it''s', 'b\\'s', c's]", ["it's", "b's", "c's"]),
            "learning_rate": ("1", 1.0),
            "grid_size": ("32,32,16", [32, 32, 16]),
            "class_weights": ("[1,2.5]", [1.0, 2.5]),
            "clinical": ("[age,001]", ["age", "001"]),
            "freeze": ("encoder", ["encoder"]),
            "region#margin": ("5", 5.0),
            "geometry#rotate": ("[15, 0, 0]", [15.0, 0.0, 0.0]),
            "device": ("$torch.device('cpu')", "$torch.device('cpu')"),
            "start_weights": ("null", None),
            "optimizer#lr": ("@learning_rate", "@learning_rate"),
        }),
        ("explaining", {
            "displayable_configs#point": ("1 2 3", "1 2 3"),
            "test_time_augmentation": ("8", 8),
            "case": ("[001,'a,b',p#1]", ["001", "a,b", "$'p\\x231'"]),
            "explained_class": ("None", None),
        }),
        ("reporting", {"comparison": ("results/#2", "$'results/\\x232'")}),
    ],
)  # fmt: skip
def test_every_type_is_read(command, expected, away, trained):
    model = {"inference": trained / "configs" / "inference.yaml", "explain": ROOT / "configs" / "explain.yaml"}
    options, files = [], None
    if command in ("training", "comparing"):
        options = away
    elif command == "explaining":
        options, files = ["--bundle_root", str(trained), *away[:2]], [str(file) for file in model.values()]
    typed = [f"--{key}={text}" for key, (text, _) in expected.items()]
    parser = from_command_line(command, *options, *typed, files=files).parser
    for key, (_, value) in expected.items():
        assert (key, type(parser[key]), parser[key]) == (key, type(value), value)


def test_none_of_python_is_not_dropped(away):
    """MONAI ignores an override that is None."""
    files = [str(ROOT / "configs" / "train.yaml"), str(Path(away[3]) / "weighted.yaml")]
    Path(files[1]).write_text("class_weights: balanced\n")
    assert from_command_line("training", *away, files=files).parser["class_weights"] == "balanced"
    parser = from_command_line("training", *away, "--class_weights", "None", files=files).parser
    assert parser["class_weights"] is None


@pytest.mark.parametrize(
    ("command", "typed", "expected"),
    [
        ("training", ["--max_epochs", "3.5"], "--max_epochs must be a whole number from 1"),
        ("training", ["--max_epochs"], "--max_epochs needs a value"),
        ("training", ["--batch_size", "true"], "--batch_size must be a whole number from 1"),
        ("training", ["--learning_rate", "nan"], "--learning_rate must be a number above 0 and at most 1,000,000"),
        ("training", ["--dropout", "null"], "--dropout must be a number of at least 0 and below 1"),
        ("training", ["--spacing", "[a,b,c]"], "--spacing must be 3 numbers from 0.001 to 1,000,000"),
        ("training", ["--spacing", "2"], "--spacing must be 3 numbers from 0.001 to 1,000,000"),
        ("training", ["--region#margin", "wide"], "--region#margin must be a number, found 'wide'"),
        ("training", ["--max_epochs", "$2 + 1"], "--max_epochs must be a whole number from 1"),
        ("training", ["--name", "$exit()"], "--name takes a plain text, found '$exit()'"),
        ("training", ["--name", "@seed"], "--name takes a plain text, found '@seed'"),
        ("training", ["--classes", "[low,grade #2]"], "--classes takes a plain text, found 'grade #2'"),
        ("training", ["--output_dir="], "--output_dir must be a path, found ''"),
        ("training", ["--spacing="], "--spacing must be 3 numbers from 0.001 to 1,000,000"),
        ("training", ["--clinical="], "--clinical must be a list, each element a text or a mapping"),
        ("training", ["--region", "5"], "region must be a component {_target_: CLASS, ...}, or a reference"),
        ("training", ["--run", "5"], "--run must be a list, found '5'"),
        ("training", ["--intensity", "{joint: false}"], "or set one argument by intensity#joint"),
        ("training", ["--validate#evaluatr", "3"], "(nearest: 'evaluator')"),
        ("training", ["--seed", "@nothing"], "--seed must be a whole number from 0"),
        ("training", ["--max_epochs", "0"], "max_epochs must be a whole number from 1"),
        ("training", ["--seed", "4294967296"], "seed must be a whole number from 0"),
        ("training", ["--split", "tset"], "split must be one of [test] (nearest: 'test')"),
        ("training", ["--folds", "5"], "--folds is a key of comparing and preparing; training does not read it"),
        (
            "inferring",
            ["--split", "test"],
            "--split is a key of evaluating and evidencing and training; inferring does not",
        ),
        ("preparing", ["--phase_names", "{a: x, a: y}"], "a mapping {key: value} with different keys"),
        ("preparing", ["--phase_names", "{a#b: x}"], "names within phase_names must be without '#', found 'a#b'"),
        ("comparing", ["--name", ".."], "name must be the name of a folder below results, found '..'"),
        ("preparing", ["--folds", "many"], "--folds must be a whole number from 2"),
        ("preparing", ["--clinical", "none"], "'none' could mean null or the empty list []"),
        ("checking", ["--workers", "yes"], "--workers must be a whole number from 1"),
        ("comparing", ["--repeats", "1.0"], "--repeats must be a whole number from 1"),
    ],
)
def test_another_type_is_refused_in_one_line(command, typed, expected, away):
    options = away if command in ("training", "comparing") else []
    assert expected in refusal(command, *options, *typed)


@pytest.mark.parametrize(
    ("typed", "key", "expected"),
    [
        ("--learning_rate=@nothing", "optimizer", "--learning_rate must be a number above 0"),
        ("--optimizer#lr=@max_epoch", "optimizer", "no such key; did you mean '@max_epochs'"),
        ("--optimizer#lr=@optimizer", "optimizer", "optimizer refers to itself in a circle"),
        ("--optimizer#lr=$1 / 0", "optimizer", "the expression '$1 / 0' fails with ZeroDivisionError"),
        ("--optimizer#lr=$(1", "optimizer", "'(1' is not a Python expression ('(' was never closed)"),
        ("--dropout=1.5", "network_def", "dropout must be a number of at least 0 and below 1"),
        ("--device=cpu0", "network", "device must be a device of PyTorch: cpu, cuda or cuda:NUMBER"),
        ("--encoder#_target_=scripts.Nope", "network_def", "encoder: there is no component 'scripts.Nope'"),
        ("--output_dir=$nothing", "output_dir", "output_dir: the expression '$nothing' fails with NameError"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_names_its_key_in_one_line(typed, key, expected, small_phantom, tmp_path):
    options = ["--dataset_dir", str(small_phantom), "--output_dir", str(tmp_path / "out"), typed]
    with pytest.raises((RuntimeError, ValueError, SyntaxError, ModuleNotFoundError)) as caught:
        from_command_line("training", *options).parser.get_parsed_content(key)
    message = message_of(caught.value) or ""
    assert expected in message
    assert "\n" not in message


def test_a_bundle_may_be_called_like_a_number(tmp_path, monkeypatch):
    (tmp_path / "2024").mkdir()
    monkeypatch.chdir(tmp_path)
    parser = from_command_line("exporting", "--bundle_root", "2024").parser
    assert parser["bundle_root"] == "2024"


def test_an_argument_of_a_component_has_the_type_its_constructor_declares(away):
    component = "{_target_: scripts.transforms.PercentileIntensityd, keys: image, joint: false}"
    workflow = from_command_line("training", *away, "--intensity", component)
    assert workflow.parser["intensity#joint"] is False
    overlay = Path(away[3]) / "percentiles.yaml"
    overlay.write_text("intensity:\n  _target_: scripts.transforms.PercentileIntensityd\n  keys: image\n")
    files = [str(ROOT / "configs" / "train.yaml"), str(overlay)]
    workflow = from_command_line("training", *away, "--intensity#joint", "false", files=files)
    assert workflow.parser["intensity#joint"] is False
    assert workflow.parser.get_parsed_content("intensity").joint is False


def test_an_argument_that_a_component_does_not_take_names_the_nearest(away):
    assert refusal("training", *away, "--optimizer#weight_deca", "0.1") == (
        "unknown key 'optimizer#weight_deca': AdamW takes [params, lr, betas, eps, weight_decay, amsgrad, "
        "maximize, foreach, capturable, differentiable, fused] (nearest: 'weight_decay'); correct it"
    )
    assert "(nearest: 'hidden')" in refusal("training", *away, "--table#hiden", "0")


def test_an_overlay_that_quotes_means_the_same(away, tmp_path):
    overlay = tmp_path / "quoting.yaml"
    overlay.write_text(
        'calibrate: "false"\nmax_epochs: "3"\nspacing: "[1, 1, 2]"\nlearning_rate: 1\nclass_weights: "null"\n'
        'intensity: {_target_: scripts.transforms.PercentileIntensityd, keys: image, joint: "no"}\n'
    )
    parser = from_command_line("training", *away, files=[str(ROOT / "configs" / "train.yaml"), str(overlay)]).parser
    keys = ("calibrate", "max_epochs", "spacing", "learning_rate", "intensity#joint")
    assert [parser[key] for key in keys] == [False, 3, [1.0, 1.0, 2.0], 1.0, False]
    overlay.write_text("name: 20240101\n")
    with pytest.raises(RuntimeError) as caught:
        from_command_line("training", *away, files=[str(ROOT / "configs" / "train.yaml"), str(overlay)])
    assert "name must be the name of a folder below results (in quotes where" in (message_of(caught.value) or "")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"calibrate": 1}, "calibrate must be true or false, found 1"),
        ({"name": 20240101}, "name must be the name of a folder below results"),
        ({"max_epochs": True}, "max_epochs must be a whole number from 1"),
        ({"classes": [0, 1]}, "classes must be a list, each element a text"),
        ({"spacing": None}, "spacing must be 3 numbers from 0.001 to 1,000,000"),
    ],
)
def test_values_from_python_are_only_checked(values, expected, bundle, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["pytest", "--max_epochs", "no command line of the bundle"])
    with pytest.raises(RuntimeError) as caught:
        bundle("training", ["configs/train.yaml"], **(quick | {"output_dir": str(tmp_path / "o")} | values))
    assert expected in (message_of(caught.value) or "")


def test_options_are_told_apart_as_fire_does():
    line = ["training", "--a", "1", "--b-c=x y", "-d", "3", "--noe", "--f", "--g", "-5", "--h#i", "k", "--j=", "--k"]
    given: dict[str, Any] = {}
    fire.Fire(lambda run_id=None, **override: given.update(override), command=line)
    found = typed_options(line)
    assert [key.removeprefix("no") if value is None else key for key, value in found.items()] == list(given)
    assert found == {
        "a": "1", "b_c": "x y", "d": "3", "noe": None, "f": None, "g": "-5", "h#i": "k", "j": "", "k": None,
    }  # fmt: skip
    assert not typed_options(
        [
            "--config_file",
            "x",
            "--run_id",
            "y",
            *[f"--{n}=1" for n in inspect.signature(run).parameters if n != "override"],
        ]
    )


def test_every_key_of_the_configurations_has_a_type():
    """A new key whose default shows no type (null, [], ...) is declared in scripts/keys."""
    untyped = []
    for command, files in ALL.items():
        types, file = KeyTypes(ROOT / "configs", command), files[-1]
        content = yaml.safe_load((ROOT / "configs" / file).read_text(encoding="utf-8"))
        for key, value in content.items():
            nothing = value is None or (value == [] and key != "history")
            if nothing and key not in types.declared:
                untyped.append(f"{file}: {key}")
    assert not untyped


def test_the_defaults_have_the_types_that_are_declared():
    for command, files in ALL.items():
        types, file = KeyTypes(ROOT / "configs", command), files[-1]
        content = yaml.safe_load((ROOT / "configs" / file).read_text(encoding="utf-8"))
        for key, value in content.items():
            kind, _ = types.of((key,), content)
            assert is_reference(value) or typed(value, kind) == value, f"{file}: {key}"
            types.check_range((key,), value)


@pytest.mark.parametrize("text", ["/a #1/b", "$HOME", "@x#y", "%p", "it's #1", 'say "#"', "back\\slash #", "plain"])
def test_a_literal_comes_back_as_it_was(text):
    from monai.bundle import ConfigParser

    parser = ConfigParser({"value": literal(text), "again": "@value"})
    assert parser.get_parsed_content("again") == text


def test_a_list_of_texts_keeps_commas_in_quotes_and_signs_as_they_are():
    assert read_text("['a, b', \"c'd\", [x], 1e5]", list[str]) == ["a, b", "c'd", "[x]", "1e5"]


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        (
            "geometry: {_target_: scripts.transforms.RandomGeometry, true: 1}\n",
            "names within geometry must be texts, found True",
        ),
        ("dataset_dir: '@imports#0'\n", "dataset_dir must be a path, found <module"),
        ("seed: '@name'\n", "seed must be a whole number from 0 to 4,294,967,295, found 'phantom_concat'"),
    ],
)
def test_what_an_overlay_makes_of_a_key_is_checked(overlay, expected, tmp_path):
    (tmp_path / "overlay.yaml").write_text(overlay)
    files = [str(ROOT / "configs" / "train.yaml"), str(tmp_path / "overlay.yaml")]
    options = ["--output_dir", str(tmp_path / "out")]
    with pytest.raises(RuntimeError) as caught:
        from_command_line("training", *options, files=files)
    assert expected in (message_of(caught.value) or "")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "dataset_dir",
            "x" * 5000,
            r"dataset_dir must be a path whose names have at most 255 bytes.*found one of 5,000",
        ),
        ("augmentation", [{"_target_": "Identityd", "keys": "@x"}], r"augmentation must be a component .*_target_"),
        (
            "augmentation",
            {"_target_": "A", "transforms": [{"_target_": "B"}, {"keys": "image"}]},
            r"augmentation#transforms must be a list of components .*found {'keys': 'image'}; name its class",
        ),
        (
            "augmentation",
            {"_target_": "A", "transforms": [{"_target_": "B"}, "@regi on"]},
            r"or references, found '@regi on'",
        ),
    ],
)
def test_what_no_component_or_path_can_be_is_one_line(monkeypatch, key, value, words):
    from monai.bundle import ConfigParser
    from scripts.engines import command_line

    parser = ConfigParser({key: value})
    monkeypatch.setattr(command_line, "running_parser", lambda: parser)
    monkeypatch.setattr(command_line, "command_line", list)
    with pytest.raises(ValueError, match=words):
        command_line.settle_types(ROOT / "configs", "training")


def test_a_value_without_a_key_is_refused(tmp_path):
    from scripts.files.yaml_files import read_yaml

    (tmp_path / "a.yaml").write_text("seed: 1\n? \n: 3\n")
    with pytest.raises(ValueError, match=r"a\.yaml must be YAML, found a value without a key"):
        read_yaml(tmp_path / "a.yaml")
