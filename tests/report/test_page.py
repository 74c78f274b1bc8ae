# SPDX-License-Identifier: Apache-2.0
"""report.html of a real training: the numbers of its files, n everywhere, nothing from outside."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from scripts.engines.environment import environment
from scripts.files.errors import message_of
from workbench.report.contents import read_contents
from workbench.report.dataset import MOST_HEADERS, volume_grids, write_record
from workbench.report.figures import KNOWN, Figure
from workbench.report.report import report_folder, report_run

from .page import Page

ROOT = Path(__file__).resolve().parents[2]
PHASES = ["pre", "arterial", "portal"]
NUMBER = re.compile(r"-?\d\.\d{3}")


@pytest.fixture(scope="module")
def page(trained) -> Page:
    """The report that the training itself wrote."""
    return Page((trained / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def copy(trained, tmp_path) -> Path:
    """A copy of the results folder, to change."""
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("scripts", "models", "tensorboard"))
    return folder


def figures_of(page: Page) -> dict:
    """Return title -> figure of those that are pictures."""
    return {figure.all("h3")[0].text: figure for figure in page.all("figure") if figure.all("img")}


def test_no_table_and_no_figure_without_n(page):
    figures = page.all("figure")
    assert len(page.all("table")) == sum(len(figure.all("table")) for figure in figures) > 4
    assert len(page.all("img")) == sum(len(figure.all("img")) for figure in figures) == 12
    for figure in figures:
        (caption,) = figure.all("figcaption")
        assert re.search(r"n = [1-9][\d,]* ", caption.text), caption.text


def test_metrics_are_those_of_metrics_json(page, trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    macro, classes = metrics["macro"], metrics["per_class"]
    header, cases, auc, *_ = rows = page.table("Metrics")
    assert header == ["metric", "all", "low", "high"]
    assert cases == ["cases", "8", *(f"{row['n_positive']} of 8" for row in classes)]
    for cell, row in zip(auc[1:], [macro, *classes], strict=True):
        expected = [row["auc"], *(row["auc_interval"] or [])]
        assert [float(found) for found in NUMBER.findall(cell)] == pytest.approx(expected, abs=5.1e-4)
    kappa = next(row for row in rows if row[0] == "Cohen's kappa")
    assert float(NUMBER.findall(kappa[1])[0]) == pytest.approx(macro["kappa"], abs=5.1e-4)
    threshold = dict(row[:2] for row in page.table("Called high from a probability of"))
    assert float(NUMBER.findall(threshold["sensitivity"])[0]) == pytest.approx(
        metrics["at_threshold"]["sensitivity"], abs=5.1e-4
    )
    (headline,) = [one for one in page.all("p") if one.attributes.get("class") == "headline"]
    for metric in ("auc", "accuracy"):
        for value in [macro[metric], *(macro[f"{metric}_interval"] or [])]:
            assert f"{value:.3f}" in headline.text
    assert "n = 8 cases of an unknown number of patients, test split" in headline.text


def test_splits_are_those_of_dataset_json(page, small_phantom):
    document = json.loads((small_phantom / "dataset.json").read_text())
    for split, cases, patients, low, high in page.table("Cases and patients")[1:]:
        labels = [case["label"] for case in document[split]]
        assert [int(cases), patients] == [len(labels), "–"]  # the phantom names no patients
        assert [int(low), int(high)] == [labels.count("low"), labels.count("high")]
    missing = {row[0]: row[1] for row in page.table("Cases without a phase")[1:]}
    for phase, cell in missing.items():
        lost = sum(phase not in case["image"] for case in document["training"])
        assert cell == f"{lost} ({100 * lost / 24:.0f}%)"
    spacing = {row[0]: row[2] for row in page.table("Spacing")[1:]}
    assert spacing["portal"] == "1.90 × 1.90 × 3.80"
    assert spacing["network"] == "4.00 × 4.00 × 4.00"


def test_sections_are_in_their_order(page):
    titles = [heading.text for heading in page.all("h2")]
    assert re.match(r"\d+ warnings?: read before the figures", titles[0])
    expected = [
        "Data",
        "Metrics",
        "Sites and subgroups",
        "Figures",
        "Reporting checklists",
        "How these figures came about",
    ]
    assert titles[1:] == expected


def test_the_page_needs_nothing_else(page, trained):
    elements = page.all("html")[0]

    def every(element):
        yield element
        for child in element.children:
            yield from every(child)

    for element in every(elements):
        for name in ("src", "href", "srcset", "data", "action"):
            if name in element.attributes:
                assert element.attributes[name].startswith("data:"), element.attributes[name][:80]
        assert element.name not in ("script", "iframe", "object")
    (style,) = page.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    assert (trained / "report.html").stat().st_size < 3e6


def test_a_screen_reader_can_follow(page):
    assert page.all("html")[0].attributes["lang"] == "en"
    assert all(len(image.attributes["alt"]) > 10 for image in page.all("img"))
    assert all(cell.attributes["scope"] in ("row", "col") for cell in page.all("th"))
    assert len(page.all("h1")) == 1


def test_the_configuration_is_printed_in_full(page, trained):
    text = (trained / "configs" / "train.yaml").read_text(encoding="utf-8")
    *checklists, details = page.all("details")
    assert len(checklists) == 2
    assert details.all("pre")[0].text == " ".join(text.split())
    facts = {row.all("dt")[0].text: row.all("dd")[0].text for row in page.all("div") if row.all("dt")}
    record = json.loads((trained / "environment.json").read_text())
    assert facts["Seed"] == "0"
    assert facts["Threads"] == str(record["threads"])
    assert facts["Git revision"].startswith(record["git"]["revision"] or "not recorded")
    assert f"torch {record['versions']['torch']}" in facts["Versions"]


def test_it_is_made_anew_without_the_data(copy, bundle, page):
    """By the command, on a folder that was moved, when the dataset is gone: the same tables and figures."""
    before = (copy / "report.html").read_text(encoding="utf-8")
    for name in ("configs/train.yaml", "evaluation.json"):
        dataset_dir = json.loads((copy / "evaluation.json").read_text())["dataset_dir"]
        text = (copy / name).read_text()
        (copy / name).write_text(text.replace(dataset_dir, "/nowhere/data"))
    (copy / "report.html").unlink()
    bundle("reporting", ["configs/report.yaml"], bundle_root=str(copy))
    again = (copy / "report.html").read_text(encoding="utf-8")
    start = "How these figures came about"
    assert again.partition(start)[0] == before.partition(start)[0]


def test_data_that_are_gone_are_said_to_be(copy):
    """A folder of an older version, without evaluation.json, whose dataset is gone."""
    (copy / "evaluation.json").unlink()
    config = yaml.safe_load((copy / "configs" / "train.yaml").read_text()) | {"dataset_dir": "/nowhere"}
    (copy / "configs" / "train.yaml").write_text(yaml.safe_dump(config))
    page = Page(report_folder(copy).read_text(encoding="utf-8"))
    assert "The data could not be read: dataset folder /nowhere does not exist" in page.all("main")[0].text
    assert "n = 8 cases, test split" in figures_of(page)["ROC curve"].text
    assert "n not known, as the training data are not available" in figures_of(page)["Learning curves"].text


def test_records_and_page_name_neither_home_nor_user_nor_host(copy, monkeypatch):
    host = "scanner7.hospital.org"
    monkeypatch.setenv("HOME", str(copy.parent))
    monkeypatch.setenv("LOGNAME", "jdoe")
    monkeypatch.setattr("socket.gethostname", lambda: host)
    arguments = ["run", "training", "--config_file", f"['{ROOT}/configs/train.yaml','{copy.parent}/d.yaml']"]
    monkeypatch.setattr("sys.argv", ["__main__.py", *arguments, "/data/jdoe/x", f"tcp://{host}:8786", f"{ROOT}"])
    made = environment("cpu")
    assert made["command"][4:] == ["['configs/train.yaml','~/d.yaml']", "/data/user/x", "tcp://host:8786", "."]
    (copy / "environment.json").write_text(json.dumps(made))
    write_record(copy, [copy / "models" / "model.pt"], copy.parent / "gone", "test", PHASES, made)
    config = yaml.safe_load((copy / "configs" / "train.yaml").read_text())
    config |= {"dataset_dir": str(copy.parent / "gone"), "cache_dir": str(copy.parent / "cache")}
    (copy / "configs" / "train.yaml").write_text(yaml.safe_dump(config))
    text = (copy / "evaluation.json").read_text() + report_folder(copy).read_text(encoding="utf-8")
    assert "~/gone" in text
    assert not [name for name in (str(copy.parent), "jdoe", host) if name in text]


def test_an_evaluation_outside_finds_its_model_from_the_home_folder(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(copy.parent))
    write_record(tmp_path / "ev", [copy / "models" / "model.pt"], copy, "test", PHASES, environment("cpu"))
    assert json.loads((tmp_path / "ev" / "evaluation.json").read_text())["models"] == [f"~/{copy.name}"]
    shutil.copy(copy / "metrics.json", tmp_path / "ev")
    assert read_contents(tmp_path / "ev").model == copy


@pytest.mark.parametrize("there", [True, False])
def test_an_anonymous_page_has_no_path_and_no_command(there, copy, tmp_path, bundle):
    config = yaml.safe_load((copy / "configs" / "train.yaml").read_text())
    if not there:
        (copy / "evaluation.json").unlink()
        config |= {"dataset_dir": "/home/jane doe/data"}
        (copy / "configs" / "train.yaml").write_text(yaml.safe_dump(config))
    assert config["dataset_dir"] in report_folder(copy).read_text(encoding="utf-8")
    bundle("reporting", ["configs/report.yaml"], bundle_root=str(copy), anonymous=True)
    text = (copy / "report.html").read_text(encoding="utf-8")
    for hidden in (config["dataset_dir"], str(copy), "<dt>Command"):
        assert hidden not in text
    with pytest.raises(ValueError, match="leave out the comparison"):
        report_folder(copy, tmp_path, anonymous=True)


def test_a_training_on_a_server_s_labels_has_no_test(copy):
    """Its cases have no test split and no dataset.json; the learning curves are shown nevertheless."""
    for file in (*copy.glob("*.png"), copy / "metrics.json", copy / "predictions.csv"):
        if file.name != "learning_curves.png":
            file.unlink()
    (copy / "server_cases.json").write_text("{}")
    file = report_run(copy, str(copy / "models" / "model.pt"), "/nowhere", "test", PHASES, "cpu")
    page = Page(file.read_text(encoding="utf-8"))
    text = page.all("main")[0].text
    assert "Nothing could be measured, as no case of the test split has a known class; n = 0 cases" in text
    assert "the cases came from an annotation server" in text
    assert list(figures_of(page)) == ["Learning curves"]


def test_names_are_escaped(copy):
    evil = "<script>alert('x')</script>"
    for name in ("metrics.json", "evaluation.json"):
        text = (copy / name).read_text().replace('"high"', json.dumps(evil)).replace('"portal"', json.dumps(evil))
        (copy / name).write_text(text)
    config = yaml.safe_load((copy / "configs" / "train.yaml").read_text())
    config |= {"name": evil, "classes": ["low", evil], "phases": ["pre", evil, "</style>&amp;"]}
    (copy / "configs" / "train.yaml").write_text(yaml.safe_dump(config))
    record = json.loads((copy / "evaluation.json").read_text())
    record["data"]["volumes"]["pre"] = {"present": 1, "n": 0, "reason": f"case {evil}: broken"}
    (copy / "evaluation.json").write_text(json.dumps(record))
    page = Page(report_folder(copy).read_text(encoding="utf-8"))
    assert page.all("script") == []
    assert page.all("title")[0].text == evil
    assert page.table("Metrics")[0] == ["metric", "all", "low", evil]
    assert f"pre: not available, case {evil}: broken." in page.all("main")[0].text


def test_every_known_figure_is_shown_with_its_caption(copy):
    picture = (copy / "roc.png").read_bytes()
    for known in KNOWN:
        (copy / known.file).write_bytes(picture)
    (copy / "first_batch.png").write_bytes(b"not a picture")
    figures = figures_of(Page(report_folder(copy).read_text(encoding="utf-8")))
    assert list(figures)[1:] == [known.title for known in KNOWN if known.file != "first_batch.png"]
    for known in KNOWN[:-1]:
        assert known.caption in figures[known.title].text
    assert "n = 24 training cases, n = 8 validation cases" in figures["Learning curves"].text


def test_a_figure_of_several_panels_has_the_whole_width():
    sizes = {(1650, 1275): True, (1350, 1071): True, (1110, 780): False, (840, 885): False, (900, 500): True}
    found = {size: Figure("title", "caption", "n = 9", {}, "data:", *size).broad for size in sizes}
    assert found == sizes


def test_a_temperature_that_was_not_fitted_is_not_said_to_be(page):
    text = page.all("main")[0].text
    assert "No temperature was fitted, and 1.00 changes nothing." in text
    assert "The temperature was fitted" not in text


def test_an_evaluation_has_a_report_of_its_own(trained, bundle, tmp_path):
    files = [str(trained / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    folder = tmp_path / "evaluation"
    bundle("evaluating", files, bundle_root=str(trained), output_dir=str(folder), split="validation")
    text = Page((folder / "report.html").read_text(encoding="utf-8")).all("main")[0].text
    assert "n = 8 cases of an unknown number of patients, validation split" in text
    assert "The 8 reported cases of the validation split chose the checkpoint" in text
    record = json.loads((folder / "evaluation.json").read_text())
    assert record["models"] == [str(trained)]
    assert record["data"] == json.loads((trained / "evaluation.json").read_text())["data"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, "must hold the results of a training, an evaluation or a comparison, found no metrics.json"),
        ({"comparisn": "x"}, "unknown key 'comparisn'.*'comparison'"),
    ],
)
def test_a_mistake_gets_one_line(overrides, expected, bundle, tmp_path):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle("reporting", ["configs/report.yaml"], bundle_root=str(tmp_path), **overrides)
    assert re.search(expected, str(message_of(caught.value)))
    assert list(tmp_path.iterdir()) == []


def test_headers_of_a_large_dataset_are_sampled(tmp_path):
    """300 of 1,000 are looked at, the first and the last among them; what cannot be read is counted."""
    import nibabel
    import numpy as np

    for name, spacing in (("a", 1.0), ("first", 0.5), ("last", 4.0)):
        image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([spacing, 2, 3, 1]))
        nibabel.save(image, tmp_path / f"{name}.nii")
    names = ["first", *["a"] * 998, "last"]
    items = [{"case": str(i), "image": {"ct": str(tmp_path / f"{name}.nii")}} for i, name in enumerate(names)]
    found = volume_grids(items, ["ct"])["ct"]
    assert (found["present"], found["n"]) == (1000, MOST_HEADERS)
    assert found["spacing"] == [[0.5, 1.0, 4.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]]
    assert found["voxels"][2] == [5.0, 5.0, 5.0]
    (tmp_path / "last.nii").write_bytes(b"")
    found = volume_grids(items, ["ct"])["ct"]
    assert (found["n"], found["unreadable"]) == (MOST_HEADERS - 1, 1)
