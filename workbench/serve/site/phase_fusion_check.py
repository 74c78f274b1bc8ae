# SPDX-License-Identifier: Apache-2.0
"""Check requests: they may hold only names that the server knows, and literals in the range of their options.

Options reach MONAI's configuration, where `$`, `@`, `%` and `_target_` would be code.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import BackgroundTasks, HTTPException, Request
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from phase_fusion_options import OPTIONS, are_numbers, is_either

IMAGE_FILE = r"\w[\w .()+=,-]{0,199}\.(nii|nii\.gz|nrrd|mha)"
LABEL_FILE = r"\w[\w .()+=,-]{0,199}\.(nii|nii\.gz|nrrd|mha|json|bin)"
"""Names of uploaded files: their extensions become those of files among the studies."""
OUTLINER = "outline.pt"
"""Weights of the network that outlines what a classifier looks at: they lie beside its own, and are none of them."""
OWN_NOTES = frozenset(["id", "path", "name", "ts", "strategy"])
"""Keys that MONAI Label itself stores with an image."""


async def tidy(background: BackgroundTasks) -> AsyncIterator[None]:
    """Remove uploads also after an error; MONAI Label itself does so only after success."""
    try:
        yield
    except BaseException:
        await background()
        raise


async def check(request: Request) -> None:
    """Check names, options and texts of a request against what the server knows.

    Raises:
        HTTPException: 403 where originals or weights would be deleted or replaced, 404 for an unknown name, 409
            for a name among the studies, 400 for anything else; one line each.
    """
    path, method = request.scope["path"], request.method
    new_image = method == "PUT" and path in ("/datastore/", "/datastore/image")
    if method == "DELETE" and path in ("/datastore", "/datastore/", "/datastore/image"):
        raise HTTPException(403, "images of the studies are not deleted by this server")
    if method in ("PUT", "DELETE") and path.startswith("/model/"):
        raise HTTPException(403, "weights come from training, none are uploaded or deleted")
    info = app_instance().info()
    for name, value in [*request.path_params.items(), *request.query_params.multi_items()]:
        _check_name(name, value, info, new_image=new_image)
    model = request.path_params.get("model")
    if path.startswith("/infer/"):
        _check_answer(request.query_params.get("output"), info["models"].get(model, {}))
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        for field, text in (await request.form()).multi_items():
            if isinstance(text, str):
                _check_options(field, _read_json(field, text), model, info)
                if new_image or path == "/datastore/image/info":
                    _check_own(field, _read_json(field, text))
                continue
            file = text.filename or ""
            if not re.fullmatch(IMAGE_FILE if field == "file" else LABEL_FILE, file):
                line = "an uploaded file must be named as an image, or a label as a JSON file, without a path"
                raise HTTPException(400, f"{line}, found {file[:120]!r}")
            if new_image and not request.query_params.get("image"):
                _check_name("image", file.partition(".")[0], info, new_image=True)
    elif body := await request.body():
        options = _read_json("body", body.decode("utf-8", "replace"))
        if path == "/train/":
            for name, own in options.items():
                _check_known("model", name, info["trainers"])
                _check_options("params", own, name, info)
        elif strategy := request.path_params.get("strategy"):
            _check_each(options, info["strategies"][strategy].get("config") or {})
        else:
            _check_options("params", options, model, info)


def _read_json(field: str, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"{field} must be JSON, found {text[:80]!r}: {error}") from None
    if content is not None and not isinstance(content, dict):
        raise HTTPException(400, f"{field} must be a JSON object of options, found {text[:80]!r}")
    return content or {}


def _check_known(name: str, value: Any, known: Any) -> None:
    if value not in known:
        listed = ", ".join(map(str, list(known)[:10])) or "none"
        raise HTTPException(404, f"{name} must be one of {listed}, found {str(value)[:200]!r}")


def _check_name(name: str, value: str, info: Mapping[str, Any], *, new_image: bool) -> None:
    if name == "model":
        _check_known(name, value, set(info["models"]) | set(info["trainers"]))
    elif name == "strategy":
        _check_known(name, value, info["strategies"])
    elif name in ("image", "label", "id") and not new_image:
        if value:
            _check_known(name, value, app_instance().datastore().list_images())
    elif name in ("image", "tag", "check_sum"):
        if new_image and is_among_studies(value):
            raise HTTPException(409, f"image {value[:200]!r} is among the studies and is not overwritten")
        if value and not re.fullmatch(r"[\w-][\w.:-]{0,199}", value):
            line = f"{name} must be letters, digits, '_', '-' and '.', found {value[:200]!r}"
            raise HTTPException(400, line)
    elif name == "session_id" and value:
        raise HTTPException(400, "session_id must be empty: sessions are not served, give an image")
    elif name in ("lines", "refresh", "limit_cases") and not re.fullmatch(r"\d{1,6}", value):
        raise HTTPException(400, f"{name} must be a number from 0 to 999999, found {value[:200]!r}")
    elif name == "path" and not re.fullmatch(r"(?!/)((?!\.\.)[\w.:@~+-]+/?)*", value):  # of OHIF's pages
        raise HTTPException(400, f"a page's path must stay in its folder, found {value[:200]!r}")


def is_among_studies(name: str) -> bool:
    """Whether a file stored under this name would replace an image, phase, mask or list among the studies."""
    if name in app_instance().datastore().list_images():
        return True
    files = (path.name.lower() for path in Path(settings.MONAI_LABEL_STUDIES).iterdir())
    return any(file == name.lower() or file.startswith(f"{name.lower()}.") for file in files)


def _check_answer(output: str | None, model: Mapping[str, Any]) -> None:
    if output == "dicom_seg" or (output == "image" and model.get("type") == "classification"):
        known = "json or all" if model.get("type") == "classification" else "json, image or all"
        raise HTTPException(400, f"output must be {known}, found {output!r}")


def _check_options(field: str, options: Mapping[str, Any], model: str | None, info: Mapping[str, Any]) -> None:
    if field in ("info", "label_info"):  # a client's notes on an image or label
        _check_notes(field, options)
        return
    parts = [info[kind].get(model, {}).get("config", {}) for kind in ("models", "trainers")] if model else []
    offered: dict[str, Any] = {name: value for part in parts for name, value in part.items()}
    if field == "params" and model is None:
        _check_notes(field, options)
        return
    _check_each(options, offered)


def _check_each(options: Mapping[str, Any], offered: Mapping[str, Any]) -> None:
    for name, value in options.items():
        must, holds = OPTIONS.get(name) or _offer(name, offered)
        if isinstance(value, list) and value == offered.get(name):
            continue  # the client returned the whole list of choices: nothing was chosen
        if not holds(value):
            raise HTTPException(400, f"option {name[:60]!r} must be {must}, found {str(value)[:120]!r}")


def _offer(name: str, offered: Mapping[str, Any]) -> tuple[str, Callable[[Any], bool]]:
    """Return the rule for an option of this model, in words and as a function: one of a list, or numbers."""
    if name not in offered:
        known = ", ".join(sorted(set(offered) | set(OPTIONS)))
        raise HTTPException(400, f"there is no option {name[:60]!r}; known are {known}")
    default = offered[name]
    if isinstance(default, list | tuple):
        choices = [choice for choice in default if choice != OUTLINER]
        return f"one of {', '.join(map(repr, choices))}", lambda value: value in choices or value is None
    if isinstance(default, bool):
        return "true or false", is_either
    return "a number, or empty where it is not known", are_numbers


def _check_own(field: str, content: Mapping[str, Any]) -> None:
    for name in content.keys() & OWN_NOTES:
        raise HTTPException(400, f"{field} must not hold {name!r}, which is the server's own")


def _check_notes(field: str, content: Any, depth: int = 0) -> None:
    """Refuse notes that a configuration would take for an expression, or that JSON cannot hold."""
    if depth > 8:
        raise HTTPException(400, f"{field} must not be nested deeper than 8")
    if isinstance(content, Mapping):
        for key, value in content.items():
            _check_notes(field, key, depth + 1)
            _check_notes(field, value, depth + 1)
    elif isinstance(content, list):
        for value in content:
            _check_notes(field, value, depth + 1)
    elif isinstance(content, float) and not math.isfinite(content):
        raise HTTPException(400, f"{field} must hold finite numbers, found {content}")
    elif isinstance(content, str) and re.search(r"^\s*[$@%]|^_\w+_$|[\ud800-\udfff]", content):
        raise HTTPException(400, f"{field} must hold plain values, found {content[:120]!r}")
