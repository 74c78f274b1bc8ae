# SPDX-License-Identifier: Apache-2.0
"""A folder from elsewhere: clean as a training writes it, refused with each planted thing in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scripts.files.run_folder import release_folder, take_folder
from workbench.verify.__main__ import main
from workbench.verify.configurations import LARGEST
from workbench.verify.folder import verify

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clean(trained, tmp_path_factory) -> Path:
    """A results folder with both exported models, as it lies on the disk of someone else."""
    from scripts.networks.builder import build
    from workbench.export.formats import write_onnx, write_torchscript

    folder = tmp_path_factory.mktemp("foreign") / "quick"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("__pycache__"))
    take_folder(folder / "inference", "inferring")
    (folder / "inference" / "predictions.csv").write_text("case\n")
    release_folder(folder / "inference", keep=True)
    network = build(phases=["pre", "arterial", "portal"], num_classes=2).eval()
    inputs = (torch.rand(1, 3, 16, 16, 16), None, torch.ones(1, 3, dtype=torch.bool))
    write_torchscript(network, inputs, {"classes": ["low", "high"]}, folder / "models" / "model.ts")
    write_onnx(network, inputs, {"classes": ["low", "high"]}, folder / "models" / "model.onnx")
    return folder


@pytest.fixture
def folder(clean, tmp_path) -> Path:
    return shutil.copytree(clean, tmp_path / "quick")


def said(folder: Path, allow: tuple[str, ...] = ()) -> str:
    return "\n".join(str(finding) for finding in verify(folder, allow))


def test_what_is_shipped_and_what_a_training_writes_is_clean(clean, capsys):
    assert said(ROOT) == ""
    assert said(clean) == ""
    assert main([str(clean)]) == 0
    assert capsys.readouterr().out.strip().endswith("nothing but the bundle's own code and plain data")


RUNS = "$open({witness!r}, 'w')"
IN_CONFIGURATIONS = [
    ("configs/train.yaml", "seed", RUNS),
    ("configs/inference.json", "seed", RUNS),
    ("configs/metadata.json", "version", RUNS),
    ("configs/extra/other.yml", "run", [RUNS]),
    ("configs/train.yaml", "imports", ["$import socket"]),
    ("configs/train.yaml", "initialize", ["$sys.exit()"]),
    ("configs/train.yaml", "seed", "$import sys"),  # shipped, but not there
    ("configs/train.yaml", "cases", "@imports::0"),
    ("configs/train.yaml", "seed", "%/etc/passwd"),
    ("configs/train.yaml", "region", {"_target_": "os.system", "command": "touch {witness}"}),
    ("configs/train.yaml", "region#_target_", "subprocess.run"),
    ("configs/train.yaml", "+region", {"_target_": "builtins.eval"}),
    ("configs/train.yaml", "region", {"_target_": "$os.system"}),
    ("configs/train.yaml", "region", {"_target_": ["os.system"]}),
    ("configs/train.yaml", "region", {"_target_": "workbench.prepare.preparing"}),
    ("configs/train.yaml", "region", {"_target_": "scripts.transforms.MaskRegiond", "_mode_": "debug"}),
    ("configs/train.yaml", "region", {"_target_": "Identityd", "_mode_": {"a": "callable"}}),
    ("configs/train.yaml", "region", {"_target_": "Identityd", "_requires_": [RUNS]}),
    ("configs/train.yaml", "region", {"_target_": "Identityd", "_disabled_": RUNS}),
    ("configs/train.yaml", "bundle_root", "/tmp"),
    ("configs/train.yaml", "output_dir", "/home/me/.ssh"),
    ("configs/train.yaml", "seed", "$@bundle_root + '/data/other'"),
    ("configs/train.yaml", "dataset_dir", "$@bundle_root + open({witness!r}, 'w')"),
    ("configs/train.yaml", "dataset_dir", "$'a' + str(open({witness!r}, 'w'))"),
]


@pytest.mark.parametrize(("file", "key", "value"), IN_CONFIGURATIONS)
def test_a_planted_value_is_named_by_file_and_key(file, key, value, folder, tmp_path):
    witness = tmp_path / "witness"
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    content = yaml.safe_load(path.read_text()) if path.is_file() else {}
    planted = json.loads(json.dumps(value).replace("{witness!r}", f"'{witness}'").replace("{witness}", str(witness)))
    content |= {key: planted}
    path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content))
    found = said(folder).splitlines()
    assert found
    for line in found:
        assert line.startswith(f"{file}, {key}")
        assert ": found " in line
        assert ", must be " in line
    assert not witness.exists()


@pytest.mark.parametrize(
    "value", [0.5, "portal", "$'/data/set \\x231'", ["a", 1], {"a": None}, "@seed", "$@bundle_root + '/data/other'"]
)
def test_values_may_differ(value, folder):
    path = folder / "configs" / "train.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"dataset_dir": value}))
    assert said(folder) == ""


BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bomb.yaml", BOMB),
        ("deep.yaml", "[" * 20_000),
        ("deep.json", "[" * 200_000),
        ("large.yaml", "a: 1\n" + "#" * LARGEST[".yaml"]),
        ("twice.yaml", "a: 1\na: 2\n"),
        ("twice.json", '{"a": 1, "a": 2}'),
        ("tag.yaml", "a: !!python/object/apply:os.system [id]\n"),
        ("merge.yaml", "a: &a {b: 1}\nc:\n  <<: *a\n"),
        ("no.json", "{"),
        ("time.yaml", "a: !!timestamp x\n"),
        ("list.yaml", "- a\n"),
        ("key.yaml", "? {a: b}\n: c\n"),
        ("number.yaml", "a: {1: b}\n"),
        ("merge_here.yaml", "<<: {a: b}\n"),
        ("latin.yaml", "a: \udce4"),
    ],
)
def test_a_file_that_is_no_small_plain_text_is_refused_at_once(name, text, folder):
    (folder / "configs" / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    start = time.process_time()
    found = said(folder)
    assert found.startswith(f"configs/{name}: found "), found
    assert "\n" not in found
    assert time.process_time() - start < 15


@pytest.mark.parametrize(
    "name",
    [
        "jinja2.py", "docs/yaml.PY", "numpy/__init__.py", "torch.so", "a.cpython-311-x86_64-linux-gnu.so",
        "liba.so.1", "site.pth", "scripts/networks/fusion/mine.py", "yaml.pyc",
        "scripts/__pycache__/__init__.cpython-311.pyc",
        "scripts/volumes/native.so", "lib.zip", "run.sh", "Makefile", ".git/hooks/post-checkout",
        "model.pkl", "configs/logging.conf", "requirements.txt", "scripts/__init__.py",
    ],
)  # fmt: skip
def test_further_code_is_named(name, folder):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write("import os\n")
    found = said(folder)
    assert found.startswith(f"{name}: found "), found
    assert "\n" not in found


def test_a_package_without_some_of_its_files_is_named(folder):
    (folder / "scripts" / "networks" / "parts.py").unlink()
    assert "scripts: found 'no networks/parts.py and 0 more', must be the whole package" in said(folder)


def test_a_release_is_taken_by_its_hash(folder, tmp_path, monkeypatch):
    from workbench.verify import folder as package_files

    (folder / "scripts" / "networks" / "fusion" / "maps.py").write_text("# an older one\n")
    assert "scripts/networks/fusion/maps.py: found 'other code'" in said(folder)
    releases = tmp_path / "releases.txt"
    releases.write_text(f"# hash, version\n{package_files.package_hash(folder / 'scripts')}  0.0.9\n")
    monkeypatch.setattr(package_files, "RELEASES", releases)
    assert said(folder) == ""
    (folder / "scripts" / "networks" / "fusion" / "maps.py").write_text("import os\n")
    assert "scripts/networks/fusion/maps.py: found 'other code'" in said(folder)


def test_a_strategy_of_ones_own_is_allowed_by_name(folder):
    (folder / "scripts" / "networks" / "fusion" / "mine.py").write_text("class Mine: ...\n")
    path = folder / "configs" / "train.yaml"
    content = yaml.safe_load(path.read_text())
    content["fusion"]["_target_"] = "scripts.networks.fusion.mine.Mine"
    path.write_text(yaml.safe_dump(content))
    assert len(verify(folder)) == 2
    assert said(folder, ("scripts.networks.fusion.mine.Mine", "scripts/networks/fusion/mine.py")) == ""


def test_links_lead_nowhere_else(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", folder / "docs")
    os.symlink("/etc/passwd", folder / "notes.txt")
    os.symlink("roc.png", folder / "inside.png")
    os.mkfifo(folder / "pipe.txt")
    found = said(folder).splitlines()
    assert [line.partition(":")[0] for line in found] == ["docs", "notes.txt", "pipe.txt"]


class Payload:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return open, (str(self.witness), "w")


def test_weights_are_tensors_alone(folder, tmp_path):
    file, witness = folder / "models" / "model.pt", tmp_path / "witness"
    good = torch.load(file, weights_only=True)
    for planted in ({"a": Payload(witness)}, Payload(witness), good | {"note": "text"}, [torch.ones(1)]):
        torch.save(planted, file)
        assert said(folder).startswith("models/model.pt"), planted
    torch.save(good | {"a": Payload(witness)}, file)
    assert "models/model.pt" in said(folder)
    assert not witness.exists()
    shutil.copyfile(folder / "models" / "model.ts", file)
    assert "models/model.pt" in said(folder)


def test_evidence_is_read_without_running_it(folder, tmp_path):
    file, witness = folder / "models" / "evidence.npz", tmp_path / "witness"
    np.savez(file, probability=np.array([Payload(witness)], dtype=object))
    assert said(folder).startswith("models/evidence.npz")
    assert not witness.exists()
    file.rename(folder / "models" / "other.npz")
    assert said(folder).startswith("models/other.npz")


class Writes(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_file("/tmp/planted", True, 4) + x


def test_torchscript_that_touches_files_is_named(folder):
    file = folder / "models" / "model.ts"
    torch.jit.script(Writes()).save(file)
    assert "must be an operator of torch that touches no file" in said(folder)
    assert "torch.from_file" in said(folder)


@pytest.mark.parametrize(
    "line",
    [
        "ops.aten.save(x, 'a')",
        "x.save('a')",
        "ops.quantized.linear(x)",
        "torch.classes.a.B()",
        "getattr(torch, 'a')(x)",
    ],
)
def test_torchscript_with_other_calls_is_named(line, folder):
    file = folder / "models" / "model.ts"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/code/__torch__/a.py", f"def forward(self, x: Tensor) -> Tensor:\n  return {line}\n")
    assert said(folder).startswith("models/model.ts, model/code/__torch__/a.py: found ")


def test_onnx_holds_standard_operators_and_its_own_data(folder):
    import onnx

    file = folder / "models" / "model.onnx"
    model = onnx.load(file)
    model.graph.node[0].domain = "my.ops"
    onnx.save(model, file)
    assert "models/model.onnx" in said(folder)
    assert "must be an operator of the ONNX standard" in said(folder)
    model.graph.node[0].domain = ""
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret.txt")
    file.write_bytes(model.SerializeToString())
    assert "data in another file" in said(folder)


def test_the_command_ends_with_1_and_imports_nothing_of_the_folder(folder):
    (folder / "torch.py").write_text("raise SystemExit('taken')\n")
    (folder / "configs" / "a\x1b[2J\u202e.yaml").write_text("run: [$import os]\n")
    done = subprocess.run(
        [sys.executable, "-m", "workbench.verify", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert len(lines) == 3, done
    assert all(line.isprintable() for line in lines)
    assert lines[-1].endswith("2 findings; do not run it")
    assert done.stderr == ""


def test_no_folder_is_one_line(tmp_path):
    for name, why in (("none", "found none at"), ("a.zip", "unpack it first"), ("empty", "with configs/")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "a.zip").touch()
        with pytest.raises(SystemExit, match=why):
            main([str(tmp_path / name)])
