# SPDX-License-Identifier: Apache-2.0
"""Values and bodies that an attacker sends to the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from tests.attack.http_request import FORM, Attack, posted, sent
from tests.label_server import CLASSIFIER


def expressions(payloads: Sequence[str], case: str) -> Iterator[Attack]:
    """Code where a value is expected, in every option that MONAI Label knows or its clients send."""
    forms: list[Any] = [*payloads, {"_target_": "os.system", "command": "true"}, [payloads[0]], "@network", " $1"]
    infer, train = f"POST /infer/{CLASSIFIER}?image={case}", f"POST /train/{CLASSIFIER}?run_sync=true"
    batch = f"POST /batch/infer/{CLASSIFIER}?run_sync=true&images=labeled"
    options = [
        "age", "sex", "point", "box", "device", "logging", "model_filename", "label_tag", "image", "label",
        "roi", "result_extension", "result_dtype", "result_compress", "client_id", "positive", "_target_",
        "network_def", "displayable_configs", "preprocessing", "save_label", "timeout", "description",
        "session",
    ]  # fmt: skip
    for number, option in enumerate(options):
        params = json.dumps({option: forms[number % len(forms)]})
        yield Attack(f"infer: code in {option}", infer, *posted(params=params))
    for number, option in enumerate(
        ["max_epochs", "val_split", "device", "gpus", "multi_gpu", "run_id", "tracking", "tracking_uri",
         "tracking_experiment_name", "pretrained", "model_filename", "train#dataset#data", "name"]
    ):  # fmt: skip
        content = {option: forms[number % len(forms)]}
        yield Attack(f"train: code in {option}", train, *sent(content))
        yield Attack(f"train all: code in {option}", "POST /train/?run_sync=true", *sent({CLASSIFIER: content}))
    for number, option in enumerate(["device", "label_tag", "max_workers", "max_batch_size", "logging", "age"]):
        yield Attack(f"batch: code in {option}", batch, *sent({option: forms[number % len(forms)]}))
    for option in ("strategy", "client_id", "label_tag", "anything"):
        yield Attack(f"active learning: code in {option}", "POST /activelearning/random", *sent({option: forms[0]}))
    yield Attack("active learning: code as strategy", f"POST /activelearning/{quote(payloads[0], safe='')}")
    yield Attack("active learning: a strategy that is a list", "POST /activelearning/random", *sent({"strategy": []}))
    yield Attack("scoring: code", "POST /scoring/", *sent({"method": forms[0]}))
    yield Attack("scoring: code as method", f"POST /scoring/{quote(payloads[0], safe='')}", *sent({}))
    yield Attack("model: code as name", f"POST /infer/{quote(payloads[0], safe='')}?image={case}", *posted(params="{}"))
    yield Attack("infer: code as image", f"POST /infer/{CLASSIFIER}?image={quote(payloads[0])}", *posted(params="{}"))
    plain = urlencode({"params": json.dumps({"age": forms[0]})}).encode()
    yield Attack("infer: code in a form field", infer, plain, {"Content-Type": FORM})
    yield Attack("infer: the second of two fields is code", infer,
                 posted(params="{}")[0][:-10] + posted(params=json.dumps({"age": forms[0]}))[0],
                 posted()[1])  # fmt: skip
    yield Attack("infer: the options come as a file", infer,
                 *posted(params=("x.json", json.dumps({"age": forms[0]}).encode())))  # fmt: skip
    for kind in ("text/plain", "application/xml", "application/vnd.x+json", "MULTIPART/form-data", "", "a" * 5000):
        content = json.dumps({"max_epochs": forms[0]}).encode()
        yield Attack(f"train: code as {kind[:20]!r}", train, content, {"Content-Type": kind})
    for code in ("utf-16", "utf-32", "utf-8-sig", "utf-7"):
        content = json.dumps({"max_epochs": forms[0]}).encode(code)
        yield Attack(f"train: code in {code}", train, content, {"Content-Type": "application/json"})
    twice = b'{"max_epochs": 1, "max_epochs": ' + json.dumps(forms[0]).encode() + b"}"
    yield Attack("train: code under a key that comes twice", train, twice, {"Content-Type": "application/json"})
    for name in ("image", "label"):
        line = f"PUT /datastore/{name}/info?{name}={case}&tag=final"
        yield Attack(f"notes of {name}: code", line, *posted(info=json.dumps({"note": [{"x": forms[0]}]})))
    yield Attack("notes of an upload: code", "PUT /datastore/?image=new1",
                 *posted(params=json.dumps({"x": forms[0]}), file=("x.nii.gz", b"x")))  # fmt: skip
    for name, value in (("limit_cases", payloads[0]), ("limit_cases", "-1"), ("limit_cases", "9" * 30)):
        yield Attack(f"dataset: {name} {value[:9]}", f"GET /datastore/dataset?{name}={quote(value)}")
    for value in (payloads[0], "9" * 30, "9223372036854775808", "1e9"):
        yield Attack(f"logs: lines {value[:9]}", f"GET /logs/?lines={quote(value)}")


def bodies(case: str) -> Iterator[Attack]:
    """Bodies that are too large, too deep or no JSON, and notes that spoil later answers."""
    infer, train = f"POST /infer/{CLASSIFIER}?image={case}", f"POST /train/{CLASSIFIER}"
    kind = {"Content-Type": "application/json"}
    deep = b"[" * 100_000 + b"]" * 100_000
    yield Attack("deep JSON", train, deep, kind)
    yield Attack("deep JSON in a field", infer, *posted(params=deep.decode()))
    yield Attack("deep notes", f"PUT /datastore/image/info?image={case}", *posted(info=deep.decode()))
    yield Attack("a large body", train, b'{"x": "' + b"x" * 8_000_000 + b'"}', kind)
    yield Attack("a large field", infer, *posted(params="x" * 8_000_000))
    yield Attack("a body said to be huge", train, b"{}", kind | {"Content-Length": str(10**12)})
    for body in (b"null", b"[]", b"3", b'"x"', b"{", b"\xff\xfe", b"NaN", b""):
        yield Attack(f"body {body!r}", f"{train}?run_sync=x", body, kind)
    yield Attack("numbers of a thousand digits", train, b'{"max_epochs": ' + b"9" * 5000 + b"}", kind)
    for value in ("NaN", "-Infinity", "1e999", '"\\ud800"', '{"\\udfff": 1}'):
        yield Attack(f"notes {value}", f"PUT /datastore/image/info?image={case}", *posted(info=f'{{"a": {value}}}'))
    for key in ("strategy", "path", "id", "ts", "name"):
        yield Attack(f"notes over the server's own {key}", f"PUT /datastore/image/info?image={case}",
                     *posted(info=json.dumps({key: "/etc/passwd"})))  # fmt: skip
    yield Attack("a thousand fields", infer, *posted(**{f"x{number}": "{}" for number in range(2000)}))
    yield Attack("a form without its end", infer, posted(params="{}")[0][:-9], posted()[1], harmless=True)
    yield Attack("a form without a boundary", infer, b"x", {"Content-Type": "multipart/form-data"})
    yield Attack("a model's list of options", f"POST /infer/{CLASSIFIER}x?image={case}", *posted(params="{}"))
    ranges = {"Range": "bytes=" + ",".join(f"{start}-" for start in range(8000))}
    yield Attack("many ranges", f"GET /datastore/image?image={case}", headers=ranges, harmless=True)
