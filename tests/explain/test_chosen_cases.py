# SPDX-License-Identifier: Apache-2.0
"""Which cases are explained."""

from __future__ import annotations

import pytest
from monai.transforms import Compose, DeleteItemsd, Identityd
from scripts.files.plain_text import file_name
from scripts.transforms.mask_region import MaskRegiond
from scripts.transforms.region import WholeVolumeRegiond
from workbench.explain.explaining import folder_atomically
from workbench.explain.tables import choose_cases, lesion_labels, located

ITEMS = [
    {"case": f"phantom_{n:04d}", "split": split}
    for n, split in enumerate(["training", "training", "validation", "test", "test"])
]


def names(case) -> list[str]:
    return [str(item["case"])[-1] for item in choose_cases(ITEMS, case)]


def test_a_case_a_list_a_split_or_all():
    assert names("phantom_0003") == ["3"]
    assert names(["phantom_0004", "phantom_0000"]) == ["4", "0"]
    assert names("test") == ["3", "4"]
    assert names("all") == ["0", "1", "2", "3", "4"]


def test_a_number_on_the_command_line_is_a_name():
    assert choose_cases([{"case": "17", "split": "test"}], 17) == [{"case": "17", "split": "test"}]  # type: ignore[arg-type]


def test_a_case_that_is_called_like_a_split_is_that_case():
    items = [*ITEMS, {"case": "test", "split": "training"}]
    assert [item["case"] for item in choose_cases(items, "test")] == ["test"]


def test_an_unknown_case_is_an_error_with_the_nearest_ones():
    with pytest.raises(ValueError, match=r"case 'phantom_3' is not among the 5 cases .*; nearest: phantom_0003, "):
        choose_cases(ITEMS, "phantom_3")
    with pytest.raises(ValueError, match="must have cases in the split 'unlabelled', found none"):
        choose_cases(ITEMS, "unlabelled")


def test_the_preprocessing_keeps_everything_but_its_selection():
    steps = [MaskRegiond(labels=[2]), Compose([Identityd("image"), DeleteItemsd("image")])]
    assert [type(step) for step in located(Compose(steps)).transforms] == [MaskRegiond, Identityd]
    assert lesion_labels(Compose(steps)) == [2]
    assert lesion_labels(Compose([WholeVolumeRegiond()])) is None


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    target = tmp_path / "out" / "case"
    with folder_atomically(target) as folder:
        (folder / "a").write_text("old")
        assert not target.exists()
    with pytest.raises(FileNotFoundError), folder_atomically(target) as folder:
        (folder / "b" / "missing").write_text("half")
    assert [path.name for path in target.iterdir()] == ["a"]
    with folder_atomically(target) as folder:
        (folder / "c").write_text("new")
    assert [path.name for path in target.iterdir()] == ["c"]
    assert [path.name for path in target.parent.iterdir()] == ["case"]


def test_case_names_become_safe_and_stay_apart(tmp_path):
    names = ["p 1", "p_1", "p/1", "..", "../p_1", ".p"]
    made = [file_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert all((tmp_path / name).resolve().parent == tmp_path for name in made)
    assert file_name("p_1") == "p_1"
