# SPDX-License-Identifier: Apache-2.0
"""Weights above the zoo's limit are fetched by MONAI from the address in ``large_files.yml``."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from monai.apps.utils import HashCheckError
from monai.bundle import download_large_files
from workbench.package.packing import LIMIT_BYTES, move_out_weights


@pytest.fixture
def large(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "model.pt").write_bytes(b"weights".ljust(LIMIT_BYTES + 1, b"."))
    return folder


@pytest.fixture
def server(tmp_path):
    """Serve a folder on this machine."""
    (tmp_path / "web").mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "web"))
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield tmp_path / "web", f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


def test_monai_downloads_what_was_left_out(large, server):
    web, address = server
    weights = (large / "models" / "model.pt").read_bytes()
    (web / "model.pt").write_bytes(weights)
    move_out_weights(large, f"{address}/model.pt")
    assert not (large / "models" / "model.pt").exists()
    download_large_files(str(large))
    assert (large / "models" / "model.pt").read_bytes() == weights


def test_monai_refuses_other_weights_than_those_that_were_left_out(large, server):
    web, address = server
    (web / "model.pt").write_bytes(b"others")
    move_out_weights(large, f"{address}/model.pt")
    with pytest.raises(HashCheckError, match="sha256 hash check of downloaded file failed"):
        download_large_files(str(large))


def test_large_weights_without_an_address_are_an_error_that_names_the_option(large):
    with pytest.raises(ValueError, match=r"models/model.pt has 25.0 MB, .* --weights_url"):
        move_out_weights(large, None)
    assert (large / "models" / "model.pt").exists()


def test_weights_at_the_limit_stay(large):
    with (large / "models" / "model.pt").open("ab") as stream:
        stream.truncate(LIMIT_BYTES)
    move_out_weights(large, None)
    assert (large / "models" / "model.pt").exists()
    assert not (large / "large_files.yml").exists()


def test_any_other_large_file_is_refused(large):
    (large / "models" / "model.pt").rename(large / "film.png")
    with pytest.raises(ValueError, match=r"film\.png has 25\.0 MB"):
        move_out_weights(large, "https://example.org/model.pt")
