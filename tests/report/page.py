# SPDX-License-Identifier: Apache-2.0
"""Reads an HTML page as a reader sees it: figures with captions, tables with cells, every attribute."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "line", "circle", "br"}


@dataclass
class Element:
    """One element: its name, attributes, children and own text."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    def all(self, name: str) -> list[Element]:
        found = [self] if self.name == name else []
        return found + [one for child in self.children for one in child.all(name)]


class Page(HTMLParser):
    """The tree of a page; a closing tag that closes nothing is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root], f"not closed: {[one.name for one in self.open]}"

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {key: value or "" for key, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop().name == tag

    def handle_data(self, data):
        for element in self.open:
            element.pieces.append(data)

    def all(self, name: str) -> list[Element]:
        return self.root.all(name)

    def table(self, title: str) -> list[list[str]]:
        """Return the cells of the table whose title begins so, with its header."""
        (table,) = [one for one in self.all("table") if one.attributes["aria-label"].startswith(title)]
        return [[cell.text for cell in row.all("th") + row.all("td")] for row in table.all("tr")]
