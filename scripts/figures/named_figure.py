# SPDX-License-Identifier: Apache-2.0
"""A figure that draws names as they are, whatever their language, length and signs."""

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

MARK = chr(0x200E)  # Invisible: what is beside it runs from left to right


class NamedFigure(Figure):
    """A figure in which names are data: `$` is a dollar, and no character is a box.

    Every text is drawn in the fonts that have its characters (`scripts.figures.text`), titles are
    wrapped at the edges of the figure. What is drawn otherwise than it is called is in `full_names`, which
    `save_figure` writes into the file, so that the report can say it.

    Attributes:
        full_names: what a name is drawn as -> the name.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.full_names: dict[str, str] = {}

    def names(self, names: Sequence[str], noun: str, length: int = LONGEST) -> list[str]:
        """Return the names as they are drawn: in full, cut in the middle, or as a number.

        A name for which no font of this machine has all characters becomes the noun and its number from 1.
        Names that would be cut to the same text get their number before it.

        Args:
            names: of all classes, phases or tokens, in order.
            noun: what they are, e.g. "class".
            length: columns that a name may take.
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
        """Return those of `full_names` that are written anywhere in the figure."""
        said = ["".join(text.get_text().split()) for text in self.findobj(Text)]
        return {
            shown: name
            for shown, name in self.full_names.items()
            if any("".join(shown.split()) in text for text in said)
        }

    def draw(self, renderer: Any) -> None:
        """Draw, with fonts for every text."""
        fonts = logging.getLogger("matplotlib.font_manager")  # says that a font has no regular weight
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
    """Keep the order of what stands beside a name in Arabic or Hebrew: "name (3 of 40)"."""
    if any(unicodedata.bidirectional(character) in ("R", "AL") for character in name):
        return f"{MARK}{name}{MARK}"
    return name


def _make_plain(text: Any) -> None:
    """Take a text literally, in fonts that have its characters; one that none has becomes a question mark."""
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
