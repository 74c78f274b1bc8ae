# SPDX-License-Identifier: Apache-2.0
"""Check weights files (.pt, .ts, .onnx, .npz): they may hold only tensors and harmless operators."""

from __future__ import annotations

import ast
import functools
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.verify.configurations import Finding

STATE = "last.pt"
"""The file from which a training resumes: numbers and texts beside tensors."""


def check_weights(file: Path, name: str) -> list[Finding]:
    """Return what a ``.pt`` file holds beside tensors; code in it is not run."""
    import torch

    must = "a state dict of tensors alone, which torch.load reads with weights_only=True"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # these warnings only name torch's functions
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the type of the error depends on the file
        return [Finding(name, "", f"{type(error).__name__}: {' '.join(str(error).split())[:60]}", must)]
    if file.name == STATE:
        return []
    if not isinstance(state, dict):
        return [Finding(name, "", type(state).__name__, must)]
    return [
        Finding(name, str(key), _kind(value), must)
        for key, value in state.items()
        if not (isinstance(key, str) and type(value) in (torch.Tensor, torch.nn.Parameter))
    ]


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.40}"


def check_evidence(file: Path, name: str) -> list[Finding]:
    """Return whether a ``.npz`` file is other than the evidence for prediction sets; pickled objects are not read."""
    from scripts.metrics.prediction_sets import FILE, stored_arrays

    must = "evidence.npz as trainings write it"
    if file.name != FILE:
        return [Finding(name, "", "another name", must)]
    try:
        stored_arrays(file)
    except ValueError as error:
        return [Finding(name, "", " ".join(str(error).replace(str(file), FILE).split())[:100], must)]
    return []


LARGEST = 32 * 1024**2
"""Most bytes of TorchScript code that are read."""
NAMESPACES = ("aten", "prim")
OF_FILES = ("filename", "file", "path")
"""Names of arguments by which an operator is known to read or write files."""
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


@functools.cache
def _operators() -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of torch's operators, and of those among them that read or write files."""
    import torch

    schemas = [schema.name.partition("::") + (schema,) for schema in torch._C._jit_get_all_schemas()]
    known = [(name, schema) for namespace, _, name, schema in schemas if namespace in NAMESPACES]
    of_files = {name for name, schema in known if any(one.name in OF_FILES for one in schema.arguments)}
    return frozenset(name for name, _ in known), frozenset(of_files)


def check_torchscript(file: Path, name: str) -> list[Finding]:
    """Return the calls in a TorchScript file that are not torch's operators, or that access files."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [one for one in archive.infolist() if "/code/" in one.filename and one.filename.endswith(".py")]
            if sum(one.file_size for one in members) > LARGEST:
                return [Finding(name, "", "code without end", f"less than {LARGEST} bytes of code")]
            trees = [(one.filename, ast.parse(archive.read(one))) for one in members]
    except (zipfile.BadZipFile, OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [Finding(name, "", f"{type(error).__name__}: {error}", "a TorchScript file")]
    if not trees:
        return [Finding(name, "", "no code", "a TorchScript file")]
    must = "an operator of torch that touches no file"
    faults = [(member, word) for member, tree in trees for word in _foreign(tree)]
    return [Finding(name, member, word, must) for member, word in dict.fromkeys(faults)]


def _foreign(tree: ast.AST) -> Iterable[str]:
    """Yield each name in TorchScript code that is no harmless operator."""
    known, of_files = _operators()
    used = set()  # names followed by a dot
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        chain, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            chain, base = [base.attr, *chain], base.value
        if node.attr in of_files:
            yield ast.unparse(node)[:80]
        if isinstance(base, ast.Name):
            used.add(base)
            if base.id == "torch" and (len(chain) > 1 or chain[0] not in known):
                yield ".".join(["torch", *chain])
            if base.id == "ops" and len(chain) > 1 and (chain[0] not in NAMESPACES or chain[1] not in known):
                yield ".".join(["ops", *chain])
    yield from (
        f"{node.id} by itself"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in ("torch", "ops") and node not in used
    )


def check_onnx(file: Path, name: str) -> list[Finding]:
    """Return the nodes of an ONNX file that are not standard operators, and data stored outside of it."""
    try:
        import onnx
    except ImportError:
        return [Finding(name, "", "no package onnx to look into it", "looked at; pip install -r requirements-onnx.txt")]
    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:  # protobuf's own
        return [Finding(name, "", f"{type(error).__name__}", "an ONNX file")]
    found = [Finding(name, one.name, "a function of its own", "standard operators alone") for one in model.functions]
    waiting: list[Any] = [model.graph]
    while waiting:
        graph = waiting.pop()
        tensors = list(graph.initializer)
        for node in graph.node:
            if node.domain not in DOMAINS or not onnx.defs.has(node.op_type, node.domain):
                operator = f"{node.domain}.{node.op_type}"
                found.append(Finding(name, node.name, operator, "an operator of the ONNX standard"))
            waiting += [inner for one in node.attribute for inner in (one.g, *one.graphs) if inner.node]
            tensors += [inner for one in node.attribute for inner in (one.t, *one.tensors)]
        found += [
            Finding(name, tensor.name, "data in another file", "in the file itself")
            for tensor in tensors
            if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data
        ]
    return found
