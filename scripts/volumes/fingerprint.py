# SPDX-License-Identifier: Apache-2.0
"""SHA-256 fingerprints that name cached results: equal only where files, settings and code are equal."""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import os
import pickle
import re
import time
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scripts import BUNDLE
from scripts.volumes.open import files_of

LIBRARIES = ("monai", "torch", "numpy", "scipy", "nibabel", "SimpleITK")
SETTLED = 1.0  # s; a file changed more recently is hashed anew, as a further change may leave its time stamp equal
_known: dict[tuple[str, int, int, int, int], str] = {}
_PLAIN = (type(None), bool, int, float, complex, str, bytes, Path, Enum, torch.dtype, torch.device, np.dtype)
_RANDOM = (np.random.RandomState, np.random.Generator, torch.Generator, logging.Logger)


def content_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes; it is not read again while its size and time stamps are unchanged."""
    state = os.stat(path)
    key = (os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    if key not in _known:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time() - max(state.st_mtime, state.st_ctime) < SETTLED:
            return digest
        _known[key] = digest
    return _known[key]


def item_fingerprint(item: Any) -> str:
    """Return the fingerprint of a dataset item; files it names count by content, whatever folder they are in.

    >>> item_fingerprint({"case": "a", "label": 0}) == item_fingerprint({"case": "a", "label": 1})
    False
    """
    return fingerprint(_with_contents(item))


@functools.cache
def code_version() -> str:
    """Return the fingerprint of the code of scripts/volumes, cases and transforms, and of the libraries they use."""
    root = BUNDLE / "scripts"
    files = [path for name in ("volumes", "cases", "transforms") for path in sorted((root / name).rglob("*.py"))]
    return fingerprint(
        [
            [(str(path.relative_to(root)), content_hash(path)) for path in files],
            [(name, metadata.version(name)) for name in LIBRARIES],
        ]
    )


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a value: the content of data, the class and attributes of an object.

    Args:
        value: settings, functions, tensors, transforms, or containers of them.

    Raises:
        ValueError: a value that cannot be described in a lasting way.
    """
    return hashlib.sha256("\n".join(_describe(value, ())).encode()).hexdigest()


def _describe(value: Any, path: tuple[int, ...]) -> Iterable[str]:
    """Yield the description of a value line by line; `path` holds the ids of the enclosing objects."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, _PLAIN):
        yield f"{kind} {value!r}"
    elif isinstance(value, _RANDOM) or id(value) in path:
        yield kind
    elif isinstance(value, np.ndarray | np.generic | torch.Tensor):
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        yield f"{kind} {array.dtype} {array.shape} {digest}"
    else:
        parts = _parts(value)
        yield f"{kind} {len(parts)}"
        for part in parts:
            yield from _describe(part, (*path, id(value)))


def _parts(value: Any) -> list[Any]:
    """Return the parts of a container, function, class or object."""
    if isinstance(value, Mapping):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, set | frozenset):
        return sorted(fingerprint(part) for part in value)
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [value.__module__, value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, cells]
    if isinstance(value, types.ModuleType):
        return [value.__name__]
    if isinstance(value, type | types.BuiltinFunctionType):
        return [str(value.__module__), value.__qualname__, _source(value)]
    if isinstance(value, re.Pattern):
        return [value.pattern, value.flags]
    if isinstance(value, torch.nn.Module):  # its hooks hold references that cannot be described
        return [type(value), repr(value), dict(value.state_dict())]
    if hasattr(value, "__dict__"):
        return [type(value), vars(value)]
    try:
        return [pickle.dumps(value, protocol=4)]
    except Exception:
        raise ValueError(
            f"a setting of type {type(value).__name__} cannot be described; use cache 'memory', or a plain setting"
        ) from None


def _source(value: Any) -> str:
    """Return the hash of the file that defines a class; empty for compiled and interactive code."""
    try:
        return content_hash(inspect.getfile(value))
    except (TypeError, OSError):
        return ""


def _with_contents(value: Any) -> Any:
    """Replace every path of a file or folder by its name and content."""
    if isinstance(value, Mapping):
        return {key: _with_contents(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_contents(part) for part in value]
    if isinstance(value, str | Path) and os.path.isfile(value):
        return [(file.name, content_hash(file)) for file in files_of(value)]
    if isinstance(value, str | Path) and os.path.isabs(value) and os.path.isdir(value):
        files = sorted(file for file in Path(value).rglob("*") if file.is_file())
        return [(str(file.relative_to(value)), content_hash(file)) for file in files]
    return value
