# SPDX-License-Identifier: Apache-2.0
"""The git revision that a results folder records."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from scripts.engines.environment import environment, git_revision

ABSENT = {"revision": None, "dirty": None}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    for name in ("scripts/__init__.py", "configs/train.yaml"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("# one\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_tree_has_its_commit(repository):
    expected = {"revision": git(repository, "rev-parse", "HEAD"), "dirty": False}
    assert git_revision(repository / "scripts") == expected
    (repository / "mydata.csv").write_text("a user's own file\n")
    assert git_revision(repository / "scripts") == expected


@pytest.mark.parametrize("name", ["scripts/__init__.py", "configs/train.yaml", "scripts/new.py"])
def test_changed_or_new_code_is_dirty(repository, name):
    (repository / name).write_text("# two\n")
    assert git_revision(repository / "scripts")["dirty"] is True


def test_a_copy_that_git_does_not_know_has_none(repository):
    """A results folder inside of a repository holds its own copy of the package."""
    copy = repository / "results" / "mine" / "scripts"
    copy.mkdir(parents=True)
    (copy / "__init__.py").touch()
    assert git_revision(copy) == ABSENT


def test_it_never_fails(repository, tmp_path_factory, monkeypatch):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "__init__.py").touch()
    assert git_revision(outside) == ABSENT
    monkeypatch.setenv("PATH", str(outside))
    assert git_revision(repository / "scripts") == ABSENT


def test_it_is_recorded():
    assert set(environment("cpu")["git"]) == {"revision", "dirty"}
