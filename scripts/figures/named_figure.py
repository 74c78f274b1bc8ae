# SPDX-License-Identifier: Apache-2.0
"""A figure that draws names literally, whatever their language, length and characters."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text
from scripts.figures.text import LONGEST, drawable, families, plain, shorten

MARK = chr(0x200E)  # Invisible left-to-right mark: the text beside it runs from left to right


class NamedFigure(Figure):
    """A figure that treats names as data: `$` is a dollar sign, and no character becomes an empty box.

    Every text is drawn in fonts that have its characters (`scripts.figures.text`), and titles are wrapped at the
    edges of the figure. Names that are drawn differently are listed in `full_names`, which `save_figure` writes
    into the file, so that the report can explain them.

    Attributes:
        full_names: name as drawn -> full name.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.full_names: dict[str, str] = {}

    def names(self, names: Sequence[str], noun: str, length: int = LONGEST) -> list[str]:
        """Return the names as they are drawn: in full, shortened in the middle, or as a number.

        A name that no font of this machine can draw becomes the noun and its number from 1. Names that would be
        shortened to the same text get their number in front.

        Args:
            names: all classes, phases or tokens, in order.
            noun: what they are, e.g. "class".
            length: columns that a name may take, see `scripts.figures.text.columns`.
        """
        found = [plain(str(name)) for name in names]
        shown = [shorten(name, length) if name and drawable(name) else f"{noun} {i}" for i, name in enumerate(found, 1)]
        number_of = Counter(shown)
        shown = [
            f"{i}: {text}" if number_of[text] > 1 and name != text else text
            for i, (name, text) in enumerate(zip(found, shown, strict=True), 1)
        ]
        self.full_names |= {text: name for text, name in zip(shown, found, strict=True) if text != name}
        return [_left_to_right(text) for text in shown]

    def explained(self) -> dict[str, str]:
        """Return those of `full_names` that appear in the figure."""
        said = ["".join(text.get_text().split()) for text in self.findobj(Text)]
        return {
            shown: name
            for shown, name in self.full_names.items()
            if any("".join(shown.split()) in text for text in said)
        }

    def draw(self, renderer: Any) -> None:
        """Draw the figure, each text in fonts that have its characters."""
        fonts = logging.getLogger("matplotlib.font_manager")  # would warn of fonts without a regular weight
        before = fonts.level
        fonts.setLevel(logging.ERROR)
        try:
            self._draw(renderer)
        finally:
            fonts.setLevel(before)

    def _draw(self, renderer: Any) -> None:
        with rc_context({"text.parse_math": False}):
            for text in self.findobj(Text):
                _make_plain(text)
            for title in (self._suptitle, *(axes.title for axes in self.axes)):  # type: ignore[attr-defined]
                if title is not None:
                    title.set_wrap(True)
            super().draw(renderer)


def _left_to_right(name: str) -> str:
    """Keep the order of text next to a name in Arabic or Hebrew, as in "name (3 of 40)"."""
    if any(unicodedata.bidirectional(character) in ("R", "AL") for character in name):
        return f"{MARK}{name}{MARK}"
    return name


def _make_plain(text: Any) -> None:
    """Draw a text literally, in fonts that have its characters; a character that none has becomes "?"."""
    said = text.get_text()
    text.set_parse_math(False)
    if said.isascii():
        return
    if not drawable(said):
        said = "".join(character if drawable(character) else "?" for character in said)
        text.set_text(said)
    found = families(said)
    if len(found) > 1:
        text.set_family(found)
