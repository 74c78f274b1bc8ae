# SPDX-License-Identifier: Apache-2.0
"""Wrong command lines and configuration files: each is refused in one line, before anything is written."""

from __future__ import annotations

import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.attack.forked_command import ROOT, TIMED_OUT, ForkedCommands

TRAINING = """
--max_epochs 0 | --max_epochs -3 | --max_epochs 1.5 | --max_epochs | --max_epochs nan | --max_epochs 1e3 | --max_epoch 3
--max_epochs [3] | --max_epochs 99999999999999999999 | --max_epochs '$2+1' | --max_epochs @seed | --max_epochs ten
--batch_size 0 | --batch_size -1 | --batch_size 1e9 | --batch_size true | --batch_size '' | --batchsize 8
--learning_rate 0 | --learning_rate -1 | --learning_rate 1e300 | --learning_rate nan | --learning_rate inf
--learning_rate fast | --learning_rate '1e-3 '1 | --weight_decay -0.1 | --weight_decay x | --warmup_epochs -1
--seed -1 | --seed 99999999999999999999 | --seed 1.5 | --seed none | --seed ''
--grid_size 32 | --grid_size [32,32] | --grid_size [32,32,0] | --grid_size [32,32,-1] | --grid_size [3e9,32,32]
--grid_size [99999,99999,99999] | --grid_size [a,b,c] | --grid_size null | --grid_size [32,32,32,32] | --grid_size [32.5,32,32]
--spacing 2 | --spacing [2,2] | --spacing [0,2,2] | --spacing [-1,2,2] | --spacing [2,2,nan] | --spacing [1e300,1,1]
--orientation RA | --orientation RRA | --orientation XYZ | --orientation ras | --orientation 5
--device gpu | --device cpu0 | --device cuda:x | --device '' | --device 0
--dropout 1.5 | --dropout 1 | --dropout -0.1 | --dropout high | --phase_dropout 2 | --clinical_dropout -1
--label_smoothing 1 | --focal_gamma -1 | --smoothing 1 | --smoothing -0.5 | --class_weights balance
--class_weights [1] | --class_weights [1,-1] | --class_weights 5 | --class_weights [1,2,3] | --precision fp16
--precision bf | --precision 16 | --selection_rule acc | --selection_rule '' | --split tset | --split training
--split validation | --val_interval 0 | --val_interval 5 | --val_interval -1 | --patience -1 | --patience many
--resume maybe | --resume 2 | --calibrate perhaps | --missing_phases 7 | --test_time_augmentation -2
--cache ram | --cache disc | --cache_dir '' | --phases [] | --phases [pre,nothing] | --phases [pre,pre] | --phases pre,portl
--phases 5 | --phases [1,2] | --reference_phase portl | --reference_phase '' | --classes [low] | --classes [low,low]
--classes [low,hihg] | --classes [] | --positive hgih | --positive 1 | --clinical [agee] | --clinical age,age | --clinical [1]
--views [axial,axila] | --views [axial,axial] | --views front | --slices -1 | --slices 1.5 | --slice_pooling median
--phase_dropout_hides all | --freeze [encodr] | --freeze 5 | --thaw_epoch -1 | --thaw_epoch soon
--start_weights nothing.pt | --start_weights README.md | --start_weights . | --encoder_weights nothing.pt
--encoder_weights medicalnett | --dataset_dir nothing | --dataset_dir README.md | --dataset_dir configs | --dataset_dir ''
--output_dir '' | --output_dir . | --output_dir configs | --output_dir README.md | --output_dir /proc/x | --name ''
--name .. | --name a/../../b | --name '$exit()' | --name @seed | --bundle_root nothing | --bundle_root '' | --bundle_root @nope
--loss 5 | --loss nothing | --num_phases 2 | --num_classes 7 | --config 5 | --encoder 5 | --encoder resnet18 | --fusion abaf
--fusion null | --network 3 | --network_def 3 | --augmentation none | --region mask | --region#margin wide | --region#margn 5
--region '{margin: 5}' | --intensity window | --intensity#lower a | --encoder#_target_ scripts.Nope | --encoder#_target_ os.system
--fusion#_target_ scripts.networks.fusion.Concatt | --optimizer#lr @nothing | --optimizer#lr '$1/0' | --optimizer#_target_ torch.optim.Adan
--train#trainr#max_epochs 3 | --train#trainer#max_epoch 3 | --validate#evaluatr 3 | --train 5 | --train#handlers 5 | --run 5
--geometry#flip 3 | --geometry#rotate a | --folds 5 | --strategies [concat] | --case all | --explanations [] | --formats [onnx]
--single_phase pre | --layout folders | --workers 0 | --columns 5 | --channels 5 | --cases nothing | --history 5 | --model_file 5
--spacing [2,2,2 | --class_weights {a:1} | --share_encoder 3 | --initialize 5 | --positive_class 5 | --network#grid_size 5
"""
OTHERS = {
    "evaluating": "--split tset | --output_dir '' | --output_dir . | --ensemble nothing* | --ensemble README.md | --trust maybe"
    " | --model_file nothing.pt | --max_epochs 3 | --dataset_dir nothing | --seed -1 | --bundle_root configs | --folds 3",
    "inferring": "--runtime onyx | --output_dir '' | --output_dir models | --ensemble 5 | --clinical_table nothing.csv"
    " | --dataset_dir nothing | --dataset_dir README.md | --split test | --batch_size 0 | --device gpu | --max_epochs 5"
    " | --displayable_configs 5 | --model_file README.md | --test_time_augmentation -1 | --phases [pre]",
    "explaining": "--case nobody | --case '' | --explanations [] | --explanations [gradcam] | --explained_class hgih"
    " | --explained_class 1 | --occlusion#window -1 | --occlusion#overlap 1 | --occlusion#widow 3 | --output_dir '' | --cases x",
    "exporting": "--formats [] | --formats [onyx] | --formats 5 | --rounds -1 | --rounds many | --format [onnx] | --device gpu",
    "comparing": "--strategies [] | --strategies [concatt] | --strategies 5 | --strategies [concat,concat] | --folds 1"
    " | --folds 2.5 | --folds 1000 | --repeats 0 | --jobs 0 | --jobs -2 | --backend threads | --scheduler '' | --name .."
    " | --validation_fraction 1 | --validation_fraction 0 | --draws 0 | --training_seeds [] | --training_seeds [-1]"
    " | --splits [] | --splits [train] | --leave_one_site_out maybe | --max_epochs 0 | --output_dir '' | --metric auc",
    "preparing": "--layout folder | --layout '' | --folds 1 | --folds many | --fractions [0.5,0.2] | --fractions [2,-1,0]"
    " | --fractions 1 | --bias_correction n5 | --registration rigd | --registration_margin -1 | --registration_seconds 0"
    " | --without_mask drop | --workers 0 | --workers -1 | --workers two | --decide_on test | --seed -1 | --quality maybe"
    " | --source nothing | --source README.md | --labels nothing.csv | --labels README.md | --output '' | --rules nothing.yaml"
    " | --phase_names {a: x, a: y} | --phase_names 5 | --max_epochs 3 | --sorce x | --clinical none | --overwrite 2",
    "checking": "--dataset_dir nothing | --dataset_dir README.md | --dataset_dir '' | --workers 0 | --workers -1 | --output_dir ''"
    " | --output_dir README.md | --dataset x | --layout folders",
    "measuring": "--dataset_dir nothing | --dataset_dir README.md | --dataset_dir '' | --output_dir '' | --outlines nothing"
    " | --phases [] | --phases 5 | --structures [a,a] | --walls [wal] | --walls wall | --baseline prae | --measures [volum]"
    " | --measures [thickness] | --workers 0 | --workers two | --mesures [volume] | --layout folders",
    "reporting": "--bundle_root nothing | --bundle_root configs | --bundle_root '' | --comparison nothing | --comparison configs"
    " | --anonymous maybe | --anonymos true | --output_dir x",
}
FILES = {
    "training": "['configs/train.yaml']",
    "evaluating": "['configs/train.yaml','configs/evaluate.yaml']",
    "inferring": "['configs/inference.yaml']",
    "explaining": "['configs/inference.yaml','configs/explain.yaml']",
    "exporting": "['configs/inference.yaml','configs/export.yaml']",
    "comparing": "['configs/compare.yaml']",
    "preparing": "['configs/prepare.yaml']",
    "checking": "['configs/check.yaml']",
    "measuring": "['configs/measure.yaml']",
    "reporting": "['configs/report.yaml']",
}
OVERLAYS = {
    "empty": b"",
    "a tab": b"max_epochs:\t1\n\tseed: 0\n",
    "Latin-1": "name: Gr\xf6\xdfe\n".encode("latin-1"),
    "a list": b"- max_epochs\n- 1\n",
    "a text": b"hello\n",
    "twice the same key": b"max_epochs: 1\nmax_epochs: 2\n",
    "an unclosed bracket": b"spacing: [1, 2\n",
    "an unknown key": b"max_epoch: 1\n",
    "a wrong type": b"max_epochs: soon\n",
    "a wrong choice": b"precision: fp16\n",
    "out of range": b"dropout: 2\n",
    "an unknown component": b"encoder: {_target_: scripts.networks.Resnet, _mode_: callable}\n",
    "a component without class": b"encoder: {model: resnet18}\n",
    "an unknown argument": b"fusion: {_target_: scripts.networks.fusion.Concat, _mode_: callable, widht: 3}\n",
    "a reference to nothing": b"seed: '@sed'\n",
    "an expression that fails": b"seed: $1 / 0\n",
    "a Python object": b"name: !!python/object/apply:os.system ['true']\n",
    "a NUL": b"name: a\x00b\n",
    "a number as a name": b"name: 20240101\n",
}


def lines(text: str) -> list[list[str]]:
    return [shlex.split(part) for row in text.strip().splitlines() for part in row.split(" | ")]


def given(command: str, small_phantom: Path, out: Path) -> dict[str, str]:
    """Return the options that a right command line would have, so that only the wrong one is to blame."""
    if command == "preparing":
        return {"source": str(small_phantom), "layout": "folders", "output": str(out)}
    if command in ("exporting", "reporting"):
        return {}
    return {"dataset_dir": str(small_phantom), "output_dir": str(out)} | (
        {"max_epochs": "1"} if command == "training" else {}
    )


def outcome(status: int, said: str, out: Path) -> str:
    """Return how a command ended: one line of error and nothing written is refused."""
    if "Traceback" in said:
        return "tracebacks" if f'File "{ROOT}/scripts' in said else "by_monai"
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if status in (0, TIMED_OUT) or len(errors) != 1:
        return "wrongly_accepted"
    return "left_over" if out.exists() else "refused"


def attempts(typed: dict[str, list[str]], out: Path) -> Counter[str]:
    """Run commands, by what is wrong with each; fail with every one that was not refused in one line."""
    counts, wrong = Counter[str](), []
    with ForkedCommands(own_package=True) as commands:
        for name, line in typed.items():
            status, said = commands.run(["run", *line], timeout=120)
            how = outcome(status, said, out)
            shutil.rmtree(out, ignore_errors=True)
            counts.update({how: 1, "tried": 1})
            if how not in ("refused", "by_monai"):
                wrong.append(f"{name}: {how}, status {status}: {said[-400:]}")
    assert not wrong, f"{len(wrong)} of {len(typed)}:\n" + "\n\n".join(wrong)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("command", ["training", *OTHERS])
def test_every_wrong_line_is_refused_in_one(command, small_phantom, tmp_path, tally):
    out, typed = tmp_path / "out", {}
    for options in lines(TRAINING if command == "training" else OTHERS[command]):
        named = {part[2:] for part in options if part.startswith("--")}
        right = given(command, small_phantom, out).items()
        right = [f"--{key}={value}" for key, value in right if key not in named]
        typed[shlex.join(options)] = [command, "--config_file", FILES[command], *right, *options]
    all_lines = tally("wrong command lines")
    all_lines.part(command, lambda: attempts(typed, out))
    if len(all_lines.parts()) == 1 + len(OTHERS):
        all_lines.close(200)


@pytest.mark.slow
def test_every_wrong_file_is_refused_in_one_line(small_phantom, tmp_path, tally):
    out, typed = tmp_path / "out", {}
    for number, (name, content) in enumerate(OVERLAYS.items()):
        overlay = tmp_path / f"overlay_{number}.yaml"
        overlay.write_bytes(content)
        files = f"['configs/train.yaml','{overlay}']"
        options = [f"--dataset_dir={small_phantom}", f"--output_dir={out}"]
        typed[name] = ["training", "--config_file", files, *options]
    files = tally("wrong configuration files")
    files.part("all", lambda: attempts(typed, out))
    files.close(len(OVERLAYS))
