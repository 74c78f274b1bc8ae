# SPDX-License-Identifier: Apache-2.0
"""Documents that are nearly right: the same ones each time, by their bytes, their text, their structure and
with values that are more than they look."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import yaml

ODD: list[Any] = [
    "", " ", "\ud800", "a\nb", "a\x00b", "\x1b[2J", "\u202egnp.exe", "a\u2028b", "\ufeff", "e\u0301", "İ",
    "Ａ", "腫瘍", "../../x", "..", ".", "/etc/passwd", "/dev/zero", "/dev/null", "~", "C:\\x",
    "nul\\..", "a" * 5000,
    "x" * 200_000, "=1+1", "+1", "@x", "%x", "%configs/train.yaml#name", "@seed", "@imports::0",
    "$1", "$", "#",
    "a#b", "a::b", "_target_", "low", "LOW", " Low", "pre", "PRE", "age", "case", "true", "no",
    "null", "None",
    "1e5", "0x10", "1_000", "12:30:00", "2024-01-01", "NaN", "inf", "*", "&a", "!x", "{", "]", ": ", "- ",
    10**400, -(10**30), -1, 0, 1, 2, 2**63, 1e308, 1e-320, -0.0, float("nan"), float("inf"), True,
    False, None,
    {}, [], [[]], {"": None}, {"a": {"b": []}}, ["a", "a"], [1, "a", None],
]  # fmt: skip
"""Values of other types, names that mean something elsewhere, numbers and letters at the edge."""
_BOMB = "b0: &b0 [x,x]\n" + "".join(f"b{n}: &b{n} [{f'*b{n - 1},' * 9}]\n" for n in range(1, 10))
RAW: dict[str, list[str]] = {
    "yaml": [
        _BOMB, "&a [*a]", "*unknown", "&x y", "<<: {name: x}", "<<: [1]", "!!binary x", "!!set {a, b}",
        "!!timestamp x", "!!int x", "!include /etc/passwd", "? [a, b]\n: c", "%YAML 9.9", "---",
        "...", "\t", "|",
        ">-", "[" * 3000, "{a: " * 300, "- " * 300, "9" * 5000, "1:2:3", ".nan", "-.inf", "~", '"\\x07"',
        '"\\ud800"', "'", "\x07", "null: 1", "1: 1", "true: 1", "[1]: 2", "? ", "key: {", "@x", "`", "%",
    ],
    "json": [
        "NaN", "-Infinity", "1" * 5000, "1e999", "-", "01", "[" * 100_000, '{"a":' * 100_000,
        '"\\ud800"', "'x'",
        "tru", '"', '"\t"', "/* */", ",", "{}", "[]", '"a": 1, "a": 2', '{"case": 1, "case": 2}',
        "undefined",
    ],
    "csv": [
        '"', '"a\nb"', '"a""b', "'", '="001"', "\x00", "\t", ";", "|", "\n", "\r", "\u2028",
        "sep=;\n", "1,5",
        "1.234,5", "1e400", "12 mm", "-999", "n/a", "#N/A", "%", "<0.1", "45%", "31.12.2024",
        "\x0b", "\x1c", "\x85",
    ],
}  # fmt: skip
"""What stands in a text of each kind as it is."""
_VALUE = {
    "yaml": re.compile(r"(?<=[:\-\[,] )[^\[\]{},#\n]+"),
    "json": re.compile(r'(?<=[:\[,] )(?:"[^"]*"|[^\s\[\]{},"]+)'),
    "csv": re.compile(r"[^,\n]+"),
}
_CODES = ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252", "gb18030", "shift-jis", "ascii"]


class Mutations:
    """Numbered variants of a document, each with one to three faults.

    Args:
        document: the text that is right.
        kind: csv, json or yaml.
        payloads: values that would run code where they are resolved.
        below: top-level keys below which a payload may stand; None: anywhere.
        seed: of what is drawn.
    """

    def __init__(
        self, document: str, kind: str, payloads: Sequence[Any], below: Collection[str] | None = None, seed: int = 0
    ) -> None:
        self.document, self.kind, self.payloads, self.below = document, kind, list(payloads), below
        self.seed = seed
        reader, self.write = _FORMATS[kind]
        self.content = reader(document)

    def __call__(self, number: int) -> bytes:
        """Return one variant."""
        draw = random.Random(f"{self.kind} {self.seed} {number}")
        how = draw.choices([self._structure, self._text, self._bytes], [10, 5, 3])[0]
        return how(draw)

    def _structure(self, draw: random.Random) -> bytes:
        content = copy.deepcopy(self.content)
        for _ in range(draw.choice([1, 1, 2, 3, 4])):
            content = self._edited(content, draw)
        return self.write(content, draw).encode("utf-8", "surrogatepass")

    def _edited(self, content: Any, draw: random.Random) -> Any:
        """Replace, delete, repeat, rename or wrap one part."""
        parent, key, node, path = None, None, content, list[Any]()
        while isinstance(node, dict | list) and node and (parent is None or draw.random() < 0.75):
            parent, key = node, draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
            node = parent[key]
            path.append(key)
        allowed = self.below is None or (path and path[0] in self.below)
        values = self.payloads if allowed and draw.random() < 0.4 else ODD
        junk = copy.deepcopy(draw.choice(values))
        how = draw.choice(["replace"] * 5 + ["delete", "repeat", "rename", "wrap", "swap"])
        if parent is None or (how == "replace" and len(path) == 1 and draw.random() < 0.02):
            return junk
        if how == "delete":
            del parent[key]
        elif how == "repeat" and isinstance(parent, list):
            parent.insert(draw.randrange(len(parent) + 1), copy.deepcopy(node))
        elif how in ("repeat", "rename") and isinstance(parent, dict):
            name = junk if isinstance(junk, str | int | float | None) else json.dumps(junk)
            if not allowed and name in self.content:
                name = "a"
            parent[name] = parent[key] if how == "repeat" else parent.pop(key)
        elif how == "wrap":
            parent[key] = draw.choice([[node], {"a": node}, str(node), [node, junk]])
        elif how == "swap" and isinstance(node, str):
            parent[key] = draw.choice([node.swapcase(), node[::-1], node + " ", node[:-1], node * 2])
        else:
            parent[key] = junk
        return content

    def _text(self, draw: random.Random) -> bytes:
        text = self.document
        for _ in range(draw.choice([1, 1, 2, 3])):
            raw, lines = draw.choice(RAW[self.kind]), text.split("\n")
            place = draw.randrange(len(lines))
            how = draw.choice(["value"] * 4 + ["line", "line", "delete", "repeat", "move", "join", "ends"])
            found = list(_VALUE[self.kind].finditer(text))
            if how == "value" and found:
                start, end = draw.choice(found).span()
                text = text[:start] + raw + text[end:]
                continue
            if how == "line":
                space = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
                lines.insert(place, draw.choice([raw, space + raw, f"{space}name: {raw}"]))
            elif how == "repeat":
                lines.insert(draw.randrange(len(lines)), lines[place])
            elif how in ("move", "delete"):
                line = lines.pop(place)
                if how == "move":
                    lines.insert(draw.randrange(len(lines) + 1), line)
            elif how == "join" and place + 1 < len(lines):
                lines[place] += lines.pop(place + 1)
            end = draw.choice(["\r\n", "\r", "\n\n", "\u2028", ""]) if how == "ends" else "\n"
            text = end.join(lines)
        return text.encode("utf-8", "surrogatepass")

    def _bytes(self, draw: random.Random) -> bytes:
        content = bytearray(self.document.encode())
        for _ in range(draw.choice([1, 2, 3])):
            start, length = draw.randrange(len(content) + 1), draw.choice([0, 0, 1, 1, 4, 30])
            content[start : start + length] = draw.choice(
                [b"\0", b"\xff", b"\xc3", b"\xe9", b"\xef\xbb\xbf", b"\r", b"\n", b"\x1b", b"\x85", b'"', b"$", b"@"]
                + [draw.randbytes(3), b"", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"9" * 40, b": ", b"[", b"{", b","]
            )
        how = draw.random()
        if how < 0.15:
            content = content[: draw.randrange(len(content) + 1)]
        elif how < 0.4:
            text = self.document.replace("a", draw.choice("aaäß腫\u202e"), 3)
            return text.encode(draw.choice(_CODES), "replace")
        return bytes(content)


def _read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def _write_csv(content: Any, draw: random.Random) -> str:
    rows = content if isinstance(content, list) else [[content]]
    out = io.StringIO()
    separator = draw.choice(",,,;\t|")
    writer = csv.writer(out, delimiter=separator, quoting=draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer.writerows(
        [str(cell) for cell in (row.values() if isinstance(row, dict) else row)]
        if isinstance(row, list | dict)
        else [str(row)]
        for row in rows
    )
    return out.getvalue()


def _write_json(content: Any, draw: random.Random) -> str:
    return json.dumps(content, ensure_ascii=draw.random() < 0.5, indent=draw.choice([None, 1]))


def _write_yaml(content: Any, draw: random.Random) -> str:
    return yaml.safe_dump(
        content, sort_keys=False, allow_unicode=draw.random() < 0.5, default_flow_style=draw.choice([None, False, True])
    )


_FORMATS: dict[str, tuple[Callable[[str], Any], Callable[[Any, random.Random], str]]] = {
    "csv": (_read_csv, _write_csv),
    "json": (json.loads, _write_json),
    "yaml": (yaml.safe_load, _write_yaml),
}
