"""The part of a document that a command writes: what stands between two marker lines."""

from __future__ import annotations

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
