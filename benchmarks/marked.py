# SPDX-License-Identifier: Apache-2.0
"""The part of a document that a command writes: the text between two marker lines."""

from __future__ import annotations

from pathlib import Path

Parts = tuple[str, str, str]


def between_markers(text: str, name: str) -> Parts:
    r"""Split a document into what precedes a marked part, the part, and what follows.

    >>> between_markers("a\n<!-- x: begin -->\nb\n<!-- x: end -->\nc\n", "x")
    ('a\n<!-- x: begin -->\n', 'b\n', '<!-- x: end -->\nc\n')

    Raises:
        ValueError: unless the document has both markers, once each and in order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, first, rest = text.partition(begin + "\n")
    part, last, tail = rest.partition(end)
    if not (first and last) or begin in rest or end in head + tail:
        raise ValueError(f"the document must have the lines {begin} and {end} once, in this order; add them")
    return head + first, part, last + tail


def keep_part(document: Path, name: str, part: str, check: bool, command: str) -> None:
    """Write a marked part into a document, or with `check` exit with 1 if it differs.

    Args:
        document: the file.
        name: of the markers.
        part: text between them.
        check: compare only.
        command: command that writes it, for the message.
    """
    head, found, tail = between_markers(document.read_text(encoding="utf-8"), name)
    if not check:
        document.write_text(head + part + tail, encoding="utf-8")
    elif found != part:
        raise SystemExit(f"{document} differs from the figures it shows; run {command}")


def short(value: float) -> str:
    """Write a share without its leading zero.

    >>> short(0.8), short(1.0), short(-0.05)
    ('.800', '1.000', '-.050')
    """
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.3f}"
