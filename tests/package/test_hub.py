# SPDX-License-Identifier: Apache-2.0
"""What the dry run lists is what MONAI and the Hub's own client send, with only HTTP replaced."""

from __future__ import annotations

import base64
import json
import shutil

import pytest
from monai.bundle import push_to_hf_hub
from workbench.package.__main__ import main
from workbench.package.contents import files_for_hub

httpx = pytest.importorskip("httpx2")
hub = pytest.importorskip("huggingface_hub")


class Hub:
    """Answers as the Hub does to a first push, and keeps what was sent."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []

    def __call__(self, request):
        path = request.url.path
        self.requests.append(f"{request.method} {path}")
        body = request.read()
        if path == "/api/repos/create":
            return httpx.Response(200, json={"url": "https://huggingface.co/group/model"})
        if path.endswith("/preupload/main"):
            asked = [file["path"] for file in json.loads(body)["files"]]
            mode = {"uploadMode": "regular", "shouldIgnore": False}
            return httpx.Response(200, json={"files": [{"path": name, **mode} for name in asked]})
        if path.endswith("/commit/main"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.files[value["path"]] = base64.b64decode(value["content"])
            return httpx.Response(
                200, json={"commitUrl": "https://huggingface.co/group/model/commit/1", "commitOid": "1"}
            )
        return httpx.Response(200, json={})


@pytest.fixture
def fake_hub():
    from huggingface_hub.utils import _http

    answers = Hub()
    hub.set_client_factory(lambda: httpx.Client(transport=httpx.MockTransport(answers)))
    yield answers
    hub.set_client_factory(_http.default_client_factory)


def test_dry_run_lists_what_a_push_sends(own_zip, own, fake_hub, tmp_path):
    shutil.copytree(own, tmp_path / own.name)
    push_to_hf_hub("group/model", own.name, str(tmp_path), token="hf_none", version="0.1.0")
    listed = files_for_hub(own_zip, "group/model")
    assert listed == {name: len(content) for name, content in fake_hub.files.items()}
    assert fake_hub.files["models/model.pt"] == (own / "models" / "model.pt").read_bytes()
    card = fake_hub.files["README.md"].decode()
    assert card.startswith("---\ntags:\n- monai\n- medical\nlibrary_name: monai\nlicense: apache-2.0\n---\n")
    assert card.endswith((own / "docs" / "README.md").read_text())


def test_dry_run_asks_nothing_of_the_network(own_zip, fake_hub):
    files_for_hub(own_zip, "group/model")
    assert fake_hub.requests == []


def test_command_prints_the_list(trained, tmp_path, capsys):
    main(["--bundle_root", str(trained), "--output", str(tmp_path), "--dry_run_hub", "group/model"])
    printed = capsys.readouterr().out
    size = (trained / "models" / "model.pt").stat().st_size
    assert f"{size:,} bytes  models/model.pt\n" in printed
    assert "group/model (nothing was sent)" in printed
    assert f"before you share it, write into {trained}: authors in configs/metadata.json, copyright" in printed
    own_files = [line for line in printed.splitlines() if "  scripts/" not in line]
    assert not [line for line in own_files if "predictions" in line or "last.pt" in line]


@pytest.mark.parametrize("repo", ["model", "group/", "a/b/c"])
def test_repository_without_owner_is_refused(repo, own_zip):
    with pytest.raises(ValueError, match=f"must be given as owner/name, found '{repo}'"):
        files_for_hub(own_zip, repo)
