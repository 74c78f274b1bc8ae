# SPDX-License-Identifier: Apache-2.0
"""A request as an attacker writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.label_server import TOKEN

LOGIN = f"Bearer {TOKEN}"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Attack:
    """One request, as it goes over the line.

    Args:
        name: what is tried.
        line: method and target, or method, target and version.
        body: content.
        headers: over those of a client that is logged in; None leaves one out.
        harmless: whether an answer is right, as long as nothing happens.
        codes: the statuses that are right, where it is not any refusal.
    """

    name: str
    line: str
    body: bytes = b""
    headers: dict[str, str | None] = field(default_factory=dict)
    harmless: bool = False
    codes: Sequence[int] = range(400, 500)


def posted(**fields: str | tuple[str, bytes]) -> tuple[bytes, dict[str, str | None]]:
    """Return body and headers of a browser's form; a pair is a file's name and content."""
    out = b""
    for name, value in fields.items():
        file, content = value if isinstance(value, tuple) else (None, value.encode())
        head = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
        out += f"--mark\r\nContent-Disposition: {head}\r\n\r\n".encode() + content + b"\r\n"
    return out + b"--mark--\r\n", {"Content-Type": "multipart/form-data; boundary=mark"}


def sent(content: Any) -> tuple[bytes, dict[str, str | None]]:
    return json.dumps(content).encode(), {"Content-Type": "application/json"}
