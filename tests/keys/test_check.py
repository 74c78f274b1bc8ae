from __future__ import annotations

import pytest

from scripts.engines.errors import message_of
from scripts.keys.check import check_keys, known_keys


def test_misspelt_key_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown key 'max_epoch'.*did you mean 'max_epochs'"):
        check_keys({"max_epochs": 1, "max_epoch": 2}, ["max_epochs"])


def test_a_users_own_key_is_fine_when_something_refers_to_it_or_it_is_run():
    config = {"network_def": {"width": "@my_width"}, "my_width": 3, "mine": ["$print(1)"], "other": 1}
    check_keys(config, ["network_def"], run_id="other")


def test_known_keys_include_overlays_and_nested_overrides(tmp_path):
    (tmp_path / "fusion").mkdir()
    (tmp_path / "train.yaml").write_text("a: 1\n")
    (tmp_path / "fusion" / "x.yaml").write_text("b: 1\ntest#data: 2\n+c#d: [1]\n")
    assert known_keys(tmp_path) == {"a", "b", "test", "c"}


def test_a_users_mistake_is_one_line_through_monais_wrapping():
    def wrapped() -> None:
        try:
            check_keys({"lerning_rate": 1}, ["learning_rate"])
        except ValueError as error:
            raise RuntimeError("Failed to evaluate <...many lines...>") from error

    with pytest.raises(RuntimeError) as caught:
        wrapped()
    message = message_of(caught.value)
    assert message is not None
    assert message.startswith("unknown key 'lerning_rate'")
    assert "\n" not in message


def test_a_defect_of_the_program_keeps_its_traceback():
    with pytest.raises(KeyError) as caught:
        {}["x"]
    assert message_of(caught.value) is None
