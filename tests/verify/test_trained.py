# SPDX-License-Identifier: Apache-2.0
"""What this user trained is used as it is; what others made is verified by every command that can."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from scripts.engines.ensemble import is_recorded, model_files, record, trained_list
from scripts.files.errors import message_of
from workbench.predict import command as predict
from workbench.serve import command as serving


@pytest.fixture
def moved(trained, tmp_path) -> Path:
    """A folder that this user trained, at another place."""
    return shutil.copytree(trained, tmp_path / "moved")


@pytest.fixture
def planted(moved) -> Path:
    """The same with code in it, as it could come from elsewhere."""
    (moved / "jinja2.py").write_text("raise SystemExit('taken')\n")
    return moved


def test_a_training_is_noted_by_its_content(moved, own_data_home):
    assert trained_list().is_relative_to(own_data_home)
    assert is_recorded(moved)
    (moved / "evaluation").mkdir()
    (moved / "evaluation" / "metrics.json").write_text("{}")
    assert is_recorded(moved)


@pytest.mark.parametrize(
    "name", ["configs/inference.yaml", "configs/new.yaml", "models/model.pt", "scripts/a.py", "jinja2.py"]
)
def test_whatever_changes_what_runs_ends_that(name, moved):
    with (moved / name).open("a") as file:
        file.write("\n")
    assert not is_recorded(moved)


def test_evaluating_a_folder_does_not_note_it(planted, bundle, small_phantom, without_pixels):
    files = [str(planted / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    (planted / "jinja2.py").rename(planted / "later.py")  # not what is imported here
    overrides = {"dataset_dir": str(small_phantom), "missing_phases": False}
    bundle("evaluating", files, bundle_root=str(planted), **overrides)
    assert not is_recorded(planted)


def test_a_list_that_cannot_be_written_is_told_and_stops_nothing(trained, monkeypatch, caplog):
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/version")
    record(trained)
    assert f"{trained} is not noted as trained here" in caplog.text
    assert not is_recorded(trained)


REFUSED = r"must be a folder that you trained.*jinja2\.py: found.*python -m workbench\.verify .*--trust"


def test_predict_refuses_code_from_elsewhere(planted, small_phantom, tmp_path):
    arguments = [f"--run={planted}", f"--input={small_phantom}", f"--output={tmp_path / 'out'}"]
    with pytest.raises(ValueError, match=REFUSED) as caught:
        predict.main(arguments)
    assert "\n" not in message_of(caught.value)


def test_predict_goes_on_with_trust_after_one_warning(planted, small_phantom, tmp_path, caplog):
    (planted / "jinja2.py").rename(planted / "later.py")
    case = next(path for path in sorted(small_phantom.iterdir()) if path.is_dir())
    predict.main([f"--run={planted}", f"--input={case}", f"--output={tmp_path / 'out'}", "--trust"])
    assert (tmp_path / "out" / "prediction.json").is_file()
    assert [one.message for one in caplog.records if "is trusted, and can run what it likes" in one.message]


def test_serving_refuses_code_from_elsewhere(planted, tmp_path):
    arguments = [f"--run={planted}", f"--studies={tmp_path}", f"--app={tmp_path / 'app'}"]
    with pytest.raises(SystemExit, match=REFUSED):
        serving.main(arguments)
    assert not (tmp_path / "app").exists()
    with pytest.raises(SystemExit, match="MONAI Label must be installed"):
        serving.main([*arguments, "--trust"])


def test_an_ensemble_takes_no_member_with_code(planted, trained, bundle, small_phantom, tmp_path, caplog):
    members = [str(trained), str(planted)]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle(
            "inferring",
            [str(trained / "configs" / "inference.yaml")],
            bundle_root=str(trained),
            dataset_dir=str(small_phantom),
            output_dir=str(tmp_path / "out"),
            ensemble=members,
        )
    assert "jinja2.py: found 'a file that Python can import'" in message_of(caught.value)
    with caplog.at_level(logging.WARNING):
        assert len(model_files(trained, members, trust=True)) == 2
    assert f"{planted} is trusted" in caplog.text
