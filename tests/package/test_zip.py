# SPDX-License-Identifier: Apache-2.0
"""What is in the zip, and that it works where it is unpacked."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
import yaml
from workbench.keys import FILES as OF_THE_WORKBENCH
from workbench.package.__main__ import main
from workbench.package.packing import package
from workbench.verify.folder import verify

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "tests" / "bundle" / "meta_schema_20240725.json"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_shipped_zip_has_what_the_zoo_takes_and_nothing_else(shipped):
    found = names(shipped)
    assert {name.partition("/")[0] for name in found} == {"LICENSE", "configs", "docs", "models", "scripts"}
    assert {name for name in found if name.startswith("models/")} == {"models/evidence.npz", "models/model.pt"}
    ignored = re.compile(r"__pycache__|\.pyc$|/\.")
    documents = {"docs/README.md", "docs/data_license.txt", "docs/figures/learning_curves.png"}
    assert {name for name in found if name.startswith("docs/")} == documents
    for folder in ("configs", "scripts"):
        expected = {f"{folder}/{name}" for name in names(ROOT / folder)}
        expected -= {f"configs/{name}" for name in OF_THE_WORKBENCH}
        assert {name for name in expected if not ignored.search(name)} == {
            name for name in found if name.startswith(folder)
        }
    assert (shipped / "models" / "model.pt").read_bytes() == (ROOT / "models" / "model.pt").read_bytes()


def test_own_zip_is_the_results_folder_without_patients_and_paths(own, trained):
    found = names(own)
    assert {name for name in found if not name.startswith("scripts/")} == {
        "LICENSE",
        "configs/evaluate.yaml",
        "configs/inference.json",
        "configs/inference.yaml",
        "configs/logging.conf",
        "configs/metadata.json",
        "configs/train.json",
        "configs/train.yaml",
        "docs/README.md",
        "docs/figures/confusion_matrix.png",
        "docs/figures/decision_curve.png",
        "docs/figures/learning_curves.png",
        "docs/figures/missing_phases.png",
        "docs/figures/precision_recall.png",
        "docs/figures/reliability.png",
        "docs/figures/roc.png",
        "models/evidence.npz",
        "models/model.pt",
    }
    assert "scripts/networks/phase_fusion.py" in found
    config = yaml.safe_load((trained / "configs" / "train.yaml").read_text())
    private = [config["dataset_dir"], str(trained), str(Path.home()), str(ROOT)]
    for name in found:
        if not name.endswith((".pt", ".png", ".npz")):
            text = (own / name).read_text()
            assert not [path for path in private if path in text], name
    assert yaml.safe_load((own / "configs/inference.yaml").read_text())["dataset_dir"] == (
        "$@bundle_root + '/data/small'"
    )
    for name in ("train", "inference"):
        twin = json.loads((own / "configs" / f"{name}.json").read_text())
        assert twin == yaml.safe_load((own / "configs" / f"{name}.yaml").read_text())


def test_configuration_keeps_its_comments_when_paths_are_replaced(own, trained):
    before, after = ((folder / "configs" / "train.yaml").read_text().splitlines() for folder in (trained, own))
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new.partition(":")[0] for _, new in changed] == ["dataset_dir"]


@pytest.mark.parametrize("kind", ["own", "shipped"])
def test_every_link_of_the_documentation_leads_to_a_file_of_the_zip(kind, request):
    folder = request.getfixturevalue(kind)
    links = [
        (file, link)
        for file in (folder / "docs").rglob("*.md")
        for link in re.findall(r"\]\(([^)#]+)", file.read_text())
        if "://" not in link
    ]
    assert links
    assert [(file, link) for file, link in links if not (file.parent / link).is_file()] == []


def test_the_documentation_names_only_what_is_in_the_zip(shipped):
    found, text = names(shipped), (shipped / "docs" / "README.md").read_text()
    text = re.sub(r"--filepath \S+", "", text)  # what a command writes
    assert "workbench" not in text
    folders = {parent.as_posix() for name in found for parent in Path(name).parents}
    paths = re.findall(r"\b(?:scripts|configs|models|docs)/[\w./-]*\w", text)
    assert "configs/inference.yaml" in paths
    assert [path for path in paths if path not in found | folders] == []
    modules = set(re.findall(r"python -m ([\w.]+)", text))
    assert {module for module in modules if not module.startswith("monai.")} == set()
    commands = set(re.findall(r"monai.bundle run (\w+)", text))
    assert commands == {"training", "evaluating", "inferring"}


def test_same_input_gives_the_same_bytes(trained, own_zip, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    for number, path in enumerate(sorted(copy.rglob("*"), reverse=True)):
        path.chmod(0o700)
        os.utime(path, (time.time() - number, time.time() - number))
    again = package(copy, tmp_path / "dist")
    assert again.name == "multiphase_fusion_classification_v0.1.0.zip"
    assert again.read_bytes() == own_zip.read_bytes()


def test_json_twins_are_fresh_in_the_zip_and_the_folder_is_left_alone(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    (copy / "configs" / "inference.json").write_text("{}")
    with zipfile.ZipFile(package(copy, tmp_path / "dist")) as archive:
        twin = archive.read("multiphase_fusion_classification/configs/inference.json")
    assert json.loads(twin)["grid_size"] == [16, 16, 16]
    assert (copy / "configs" / "inference.json").read_text() == "{}"


def test_unfinished_training_is_refused_in_one_line_and_writes_nothing(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    (copy / "models" / "model.pt").unlink()
    with pytest.raises(SystemExit, match=r"^error: .* must be a trained bundle, but has no models/model.pt; "):
        main(["--bundle_root", str(copy), "--output", str(tmp_path / "dist")])
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("place", ["docs/data_license.txt", "models/model.pt", "scripts/more", "docs"])
def test_a_link_out_of_the_folder_is_refused(place, trained, tmp_path):
    copy, outside = tmp_path / "copy", tmp_path / "outside"
    shutil.copytree(trained, copy)
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "patients.csv").write_text("secret")
    link = copy / place
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(outside / "deep" / "patients.csv" if link.suffix else outside)
    with suppress(ValueError):  # or the link is left behind
        file = package(copy, tmp_path / "dist")
        with zipfile.ZipFile(file) as archive:
            assert not [name for name in archive.namelist() if "patients" in name or "license.txt" in name]
    if link.suffix:
        with pytest.raises(ValueError, match="as a link out of it"):
            package(copy, tmp_path / "dist")


def test_path_under_a_key_that_cannot_be_replaced_is_refused(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    with (copy / "configs" / "train.yaml").open("a") as stream:
        stream.write("extra: {file: /home/someone/notes.txt}\n")
    with pytest.raises(ValueError, match=r"train.yaml: extra holds the path /home/someone/notes.txt of this"):
        package(copy, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_comments_and_documents_name_no_home(trained, tmp_path, monkeypatch):
    copy, home = tmp_path / "copy", tmp_path / "jane.doe"
    shutil.copytree(trained, copy)
    monkeypatch.setenv("HOME", str(home))
    (copy / "configs" / "mine.yaml").write_text(f"# run with {home}/liver/data.yaml in {copy}\nseed: 1\n")
    (copy / "docs").mkdir()
    (copy / "docs" / "README.md").write_text(f"Made in {copy}/configs by {home}.")
    with zipfile.ZipFile(package(copy, tmp_path / "dist")) as archive:
        texts = {Path(name).name: archive.read(name) for name in archive.namelist()}
    assert texts["mine.yaml"] == b"# run with ~/liver/data.yaml in .\nseed: 1\n"
    assert texts["README.md"] == b"Made in configs by ~."
    assert not [name for name, text in texts.items() if b"jane.doe" in text or bytes(copy) in text]
    (copy / "configs" / "mine.json").write_text(json.dumps({"file": str(home / "x.csv")}))
    with pytest.raises(ValueError, match=r"mine.json holds the path .*/x.csv of this machine"):
        package(copy, tmp_path / "dist")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own", "shipped"])
def test_three_commands_of_the_zoo_pass_where_the_zip_is_unpacked(kind, request, python, tmp_path):
    folder = tmp_path / "multiphase_fusion_classification"
    shutil.copytree(request.getfixturevalue(kind), folder)
    (folder / "eval").mkdir()
    shutil.copyfile(SCHEMA, folder / "eval" / "schema.json")
    meta = ["--meta_file", "configs/metadata.json"]
    net = ["--net_id", "network_def", "--config_file", "configs/inference.yaml", *meta]
    weights = ["--filepath", "models/model.ts", "--ckpt_file", "models/model.pt"]
    python("-m", "monai.bundle", "verify_metadata", *meta, "--filepath", "eval/schema.json", cwd=folder)
    python("-m", "monai.bundle", "verify_net_in_out", *net, cwd=folder)
    python("-m", "monai.bundle", "ckpt_export", *net, *weights, cwd=folder)
    scripted = torch.jit.load(folder / "models" / "model.ts")
    assert scripted(torch.zeros(1, 3, 16, 16, 16)).shape == (1, 2)


LOAD = """
import monai.bundle, torch, scripts, sys
network = monai.bundle.load("multiphase_fusion_classification", bundle_dir=sys.argv[1]).eval()
cases = torch.load(sys.argv[2])
with torch.no_grad():
    torch.save([network(image[None], present=present[None])[0] for image, present in cases], sys.argv[3])
print(scripts.__file__)
"""


@pytest.mark.slow
def test_monai_load_of_the_unpacked_zip_predicts_what_the_bundle_predicts(
    shipped, small_phantom, bundle, python, tmp_path
):
    workflow = bundle(
        "inferring",
        ["configs/inference.yaml"],
        bundle_root=str(ROOT),
        dataset_dir=str(small_phantom),
        output_dir=str(tmp_path / "out"),
    )
    table = pandas.read_csv(tmp_path / "out" / "predictions.csv").set_index("case")
    cases = list(workflow.parser.get_parsed_content("dataset"))
    inputs = [(torch.as_tensor(case["image"]), torch.as_tensor(case["present"])) for case in cases]
    torch.save(inputs, tmp_path / "inputs.pt")
    arguments = [str(shipped.parent), str(tmp_path / "inputs.pt"), str(tmp_path / "logits.pt")]
    (tmp_path / "empty").mkdir()
    printed = python("-c", LOAD, *arguments, cwd=tmp_path / "empty", PYTHONPATH=str(shipped))
    assert str(shipped / "scripts") in printed
    assert list((tmp_path / "empty").iterdir()) == []
    found = torch.stack(torch.load(tmp_path / "logits.pt")).softmax(1)[:, 1]
    expected = table.loc[[case["case"] for case in cases], "p_high"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.ptp(expected) > 0.5


@pytest.mark.slow
def test_the_unpacked_zip_works_from_a_folder_that_has_a_package_scripts_of_its_own(shipped, python, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "__init__.py").write_text("own = True\n")
    program = f"""
import torch
from monai.bundle import create_workflow, load
network = load({shipped.name!r}, bundle_dir={str(shipped.parent)!r}, workflow_type="inference").eval()
import scripts
print(scripts.__file__, tuple(network(torch.rand(1, 3, 32, 32, 32)).shape))
for name, values in (("inference.json", dict(workflow_type="inference", bundle_root={str(shipped)!r})),):
    create_workflow(config_file={str(shipped / "configs")!r} + "/" + name, **values)
    print(name)
"""
    said = [line for line in python("-c", program, cwd=tmp_path).splitlines() if not line.startswith("20")]
    found = [line for line in said if line.endswith((")", ".json", ".yaml"))]
    assert found[-2:] == [f"{shipped}/scripts/__init__.py (1, 2)", "inference.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["scripts"]


def test_what_is_packed_verifies(shipped, own):
    assert [*verify(shipped), *verify(own)] == []
