# SPDX-License-Identifier: Apache-2.0
"""Names in any script, of any length, with any sign: figures draw them, or numbers that they explain."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.font_manager import FontEntry
from matplotlib.text import Text
from PIL import Image
from scripts.figures import text as fonts
from scripts.figures.curves import confusion_figure, roc_figure
from workbench.explain.contribution_figure import Waterfall, contribution_figure
from workbench.report.embedding_figure import embedding_figure
from workbench.report.errors import WrongCase, errors_figure
from workbench.report.missing_phases_figure import missing_phases_figure
from workbench.report.probability_figures import decision_figure, precision_recall_figure, reliability_figure
from workbench.report.training_figures import montage_figure
from workbench.report.weights import plot_weights
from workbench.report.withheld import withheld_rows, withheld_subsets

LONG = "moderately differentiated hepatocellular carcinoma of segment IVb"
NAMES = {
    "scripts": ["良性 악성", "😀 🦠 Καλοήθης", "na\u0308iv خبيث", "$x^2$ a_b^c %d {y} \\alpha & <b>"],
    "long": [LONG, LONG.replace("segment", "section"), "x" * 60],
    "twelve": [f"class with a rather long name {k}" for k in range(12)],
}


def every_figure(folder: Path, classes: list[str], phases: list[str]) -> Iterator[tuple[str, Any]]:
    """Draw one of each; the last class has no case where there are more than two."""
    rng = np.random.default_rng(0)
    n, size, count = 40, len(classes), len(phases)
    labels = np.arange(n) % (size - 1 if size > 2 else size)
    probability = rng.dirichlet(np.ones(size), n)
    three: Any = (probability, labels, classes, "test")
    path = {name: folder / f"{name}.png" for name in ("roc", "pr", "confusion", "reliability", "decision")}
    intervals = [(0.4123, 0.9)] * (size + 1)
    yield "roc", roc_figure(*three, intervals, draws=5, path=path["roc"])
    yield "pr", precision_recall_figure(*three, intervals, path=path["pr"])
    yield "confusion", confusion_figure(*three, path=path["confusion"])
    yield "reliability", reliability_figure(*three, path=path["reliability"])
    yield "decision", decision_figure(*three, draws=5, path=path["decision"])
    points = rng.normal(size=(n, 2))
    embedding: Any = (points, [*labels[:-1].tolist(), None], probability.argmax(1), classes, "t-SNE")
    yield "embedding", embedding_figure(*embedding, path=folder / "embedding.png")
    weights = rng.dirichlet(np.ones(count), n)
    weights[0] = np.eye(count)[0]
    yield "weights", plot_weights(weights, labels, phases, classes, path=folder / "weights.png")
    picture = rng.random((8, 8))
    wrong = [WrongCase(c, classes[0], classes[-1], 0.9, [picture] * (count - 1) + [None], 1.0, (0, 1)) for c in phases]
    yield "errors", errors_figure(wrong, phases, 3, n, path=folder / "errors.png", classes=classes)
    image, present = torch.rand(5, count, 8, 8, 8), torch.ones(5, count, dtype=torch.bool)
    present[1, 0] = False
    montage: Any = (image, present, [f"{phases[0]} {i}" for i in range(5)], phases, classes, labels[:5])
    yield "montage", montage_figure(*montage, path=folder / "montage.png")
    patterns = {s: probability[:, :2] / probability[:, :2].sum(1, keepdims=True) for s in withheld_subsets(count)}
    rows = withheld_rows(patterns, labels % 2, np.ones((n, count), bool), phases, classes[:2], draws=5)
    yield "missing", missing_phases_figure(rows, phases, 0.5, path=folder / "missing.png")
    steps, missing = [0.1] * count, [0] * (count - 1) + [1]
    panel = Waterfall(classes[-1], 0.5, steps, 0.5 + 0.1 * count, missing, case=phases[-1], truth=classes[0])
    yield "contributions", contribution_figure([panel], phases, folder / "contributions.png", classes)


def texts(figure: Any) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def cut(figure: Any) -> list[str]:
    """Return the texts that reach beyond the figure."""
    width, height = figure.bbox.width, figure.bbox.height
    numbers = r"[−\d. ]+"  # of ticks, which may lie beyond the axes and are then not drawn
    words = [text for text in texts(figure) if not re.fullmatch(numbers, text.get_text())]
    boxes = [(text.get_text(), text.get_window_extent()) for text in words]
    return [said for said, b in boxes if b.x0 < -2 or b.y0 < -2 or b.x1 > width + 2 or b.y1 > height + 2]


@pytest.mark.parametrize("kind", ["scripts", "long", pytest.param("twelve", marks=pytest.mark.slow)])
def test_every_figure_draws_every_name_within_its_edges(kind, tmp_path):
    classes = NAMES[kind]
    phases = [*classes[:3], "T1 + Gd"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a box
        for name, figure in every_figure(tmp_path, classes, phases):
            assert cut(figure) == [], name
            drawn = " ".join(text.get_text() for text in texts(figure))
            assert "?" not in drawn, name
            with Image.open(tmp_path / f"{name}.png") as picture:
                noted = json.loads(picture.text.get("Names", "{}"))
            assert noted == figure.explained()
            assert bool(noted) == any(sign in drawn for sign in ("…", "class 2", "phase 2", "case 2")), name


def test_signs_of_formulas_are_drawn_as_they_are(tmp_path):
    figure = confusion_figure(np.eye(2), [0, 1], ["$x^2$", "US$ 5 $"], path=tmp_path / "c.png")
    literal = [text for text in texts(figure) if "$" in text.get_text()]
    assert {text.get_text().split("\n")[0] for text in literal} == {"$x^2$", "US$ 5 $"}
    assert not any(text.get_parse_math() for text in literal)


def test_names_cut_to_the_same_text_are_told_apart_and_noted_in_full():
    first, second = LONG.replace("hepato", "cholangio"), LONG.replace("hepato", "pancreato")
    figure = precision_recall_figure(np.eye(2), [0, 1], [first, second])
    shown = figure.names([first, second], "class")
    assert len(set(shown)) == 2
    assert figure.full_names == dict(zip(shown, (first, second), strict=True))


@pytest.fixture
def only(monkeypatch):
    """Return a function that leaves matplotlib's own font and the given files as all fonts of the machine."""

    def install(*files: Path) -> None:
        entries = tuple(FontEntry(fname=str(file), index=0, name="Tiny Sans") for file in files)
        monkeypatch.setattr(fonts, "_system_fonts", lambda: entries)
        monkeypatch.setattr(fonts, "_new_fonts", lambda: ())
        fonts._family.cache_clear()

    yield install
    fonts._family.cache_clear()


def test_without_a_font_classes_are_numbers_that_the_file_explains(only, tmp_path, caplog):
    only()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, figure in every_figure(tmp_path, ["良性", "恶性"], ["平扫", "动脉期", "portal"]):
            said = " ".join(text.get_text() for text in texts(figure))
            assert said.isascii() or set(said) - set("–—−…·≥") == {c for c in said if c.isascii()}, name
            assert {k: v for k, v in figure.explained().items() if "class" in k}.items() <= {
                "class 1": "良性",
                "class 2": "恶性",
            }.items()
            with Image.open(tmp_path / f"{name}.png") as picture:
                assert json.loads(picture.text.get("Names", "{}")) == figure.explained()
    assert "confusion.png: no font of this machine draws some names: class 1 is 良性, class 2 is 恶性" in caplog.text


def test_a_font_of_the_machine_is_used_where_it_has_the_characters(only, tmp_path):
    file = tiny_font(tmp_path / "tiny.ttf", "良性恶")
    only(file)
    assert fonts.families("良性 low") == ["DejaVu Sans", "Tiny Sans"]
    assert fonts.drawable("恶性")
    assert not fonts.drawable("良好"), "one character is missing"


def tiny_font(file: Path, characters: str) -> Path:
    """Write a font with a square for each character."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for point in ((50, 700), (750, 700), (750, 0)):
        pen.lineTo(point)
    pen.closePath()
    glyphs = [".notdef", *(f"uni{ord(character):04X}" for character in characters)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(glyphs)
    font.setupCharacterMap({ord(c): f"uni{ord(c):04X}" for c in characters})
    font.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (800, 50)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Tiny Sans", "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    font.setupPost()
    font.save(file)
    return file
