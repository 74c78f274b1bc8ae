# SPDX-License-Identifier: Apache-2.0
"""Texts in another character set than their header says."""

from __future__ import annotations

import pytest
from workbench.prepare.dicom.assign import assign_study
from workbench.prepare.dicom.headers import read_in_unicode
from workbench.prepare.dicom.rules import read_character_set, read_rules
from workbench.prepare.dicom.scan import find_studies

WESTERN, UTF_8 = "read as Western European (ISO_IR 100)", "read as UTF-8 (ISO_IR 192)"
WRONG = "a wrong character set (ISO_IR 100)"
OFFER = "which they hardly are; name theirs in the rules, for Chinese for instance by 'character_set: GB18030'"


def described(write_dicom, folder, text: bytes, declared: str | list[str] | None):
    """Write a series whose description holds bytes as they are."""
    tags = {} if declared is None else {"SpecificCharacterSet": declared}
    files = write_dicom(folder, SeriesDescription="_" * 16, **tags)
    for file in files:
        file.write_bytes(file.read_bytes().replace(b"_" * 16, text.ljust(16)))
    return files[0]


@pytest.mark.parametrize(
    ("text", "encoding", "declared", "read", "said"),
    [
        ("动脉期", "gb18030", "GB18030", "动脉期", ""),
        ("动脉期", "gb18030", ["", "ISO 2022 IR 58"], "动脉期", ""),
        ("동맥기", "euc_kr", ["", "ISO 2022 IR 149"], "동맥기", ""),
        ("動脈相", "shift_jis", "ISO_IR 13", "動脈相", ""),
        ("артерия", "iso8859_5", "ISO_IR 144", "артерия", ""),
        ("Spätphase", "latin_1", None, "Spätphase", f"no declared character set, {WESTERN}"),
        ("Spätphase", "utf_8", "ISO_IR 100", "Spätphase", f"{WRONG}, {UTF_8}"),
        ("动脉期", "utf_8", "GB18030", "动脉期", f"a wrong character set (GB18030), {UTF_8}"),
        ("动脉期", "utf_8", None, "动脉期", f"no declared character set, {UTF_8}"),
        ("动脉期", "gb18030", None, "¶¯ÂöÆÚ", f"no declared character set, {WESTERN}, {OFFER}"),
        ("动脉期", "gb18030", "ISO_IR 100", "¶¯ÂöÆÚ", f"{WRONG}, {WESTERN}, {OFFER}"),
    ],
)
def test_texts_are_read_or_what_was_assumed_is_said(text, encoding, declared, read, said, write_dicom, tmp_path):
    described(write_dicom, tmp_path, text.encode(encoding), declared)
    (study,), notes = find_studies(tmp_path)
    assert study.series[0][0].description == read
    assert notes == ([f"texts of {said}: image000 and 5 more"] if said else [])


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS", "ignore:Unknown encoding")
@pytest.mark.parametrize("declared", [None, "ISO_IR 100", "ISO_IR 192", "nonsense"])
def test_the_rules_name_what_the_header_does_not(declared, write_dicom, tmp_path):
    file = described(write_dicom, tmp_path / "s", "动脉期".encode("gb18030"), declared)
    rules = tmp_path / "rules.yaml"
    rules.write_text("character_set: GB18030\nphases: {arterial: {description: '*动脉*'}}", encoding="utf-8")
    (study,), (note,) = find_studies(tmp_path / "s", read_character_set(rules))
    assert [one.phase for one in assign_study(study, read_rules(rules))] == ["arterial"]
    assert "read as GB18030: image000" in note
    assert read_in_unicode(file, "GB18030")[0].SeriesDescription == "动脉期"


def test_what_the_header_says_rightly_stays(write_dicom, tmp_path):
    described(write_dicom, tmp_path, "Spätphase".encode("latin_1"), "ISO_IR 100")
    (study,), notes = find_studies(tmp_path, "GB18030")
    assert (study.series[0][0].description, notes) == ("Spätphase", [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{character_set: GBK8, phases: {a: {}}}", r"character_set must be one of GB18030, GBK, .*found 'GBK8'"),
        ("{charset: GB18030, phases: {a: {}}}", r"key 'charset' is not among \[phases, character_set\]"),
    ],
)
def test_a_mistake_in_the_rules_is_one_line(text, message, tmp_path):
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        read_character_set(tmp_path / "rules.yaml")
    assert "\n" not in str(raised.value)
