# SPDX-License-Identifier: Apache-2.0
"""Phases in the order in which they were taken: past midnight, in several time zones, with few tags."""

from __future__ import annotations

import pytest
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.dicom.stacks import stacks_of

EVENING, NIGHT = "235930", "000010"
ORDERS = {
    "only the day of the study": [{"AcquisitionTime": EVENING}, {"AcquisitionTime": NIGHT}],
    "the study's beginning": [
        {"AcquisitionTime": EVENING, "StudyTime": "234500"},
        {"AcquisitionTime": NIGHT, "StudyTime": "234500"},
    ],
    "dates of the series": [
        {"AcquisitionTime": EVENING, "SeriesDate": "20200102", "SeriesTime": "235900"},
        {"AcquisitionTime": NIGHT, "SeriesDate": "20200102", "SeriesTime": "235955"},
    ],
    "dates and times in one": [
        {"AcquisitionTime": None, "AcquisitionDateTime": "20200102235930.5"},
        {"AcquisitionTime": None, "AcquisitionDateTime": "20200103000010"},
    ],
    "a date beside one without": [
        {"AcquisitionTime": EVENING, "AcquisitionDate": "20200102"},
        {"AcquisitionTime": None, "ContentTime": NIGHT, "ContentDate": "20200103"},
    ],
    "zones of the scanner": [
        {"AcquisitionTime": "100000", "AcquisitionDate": "20200102", "TimezoneOffsetFromUTC": "+0100"},
        {"AcquisitionTime": "090500", "AcquisitionDate": "20200102", "TimezoneOffsetFromUTC": "+0000"},
    ],
    "zones in the times": [
        {"AcquisitionTime": None, "AcquisitionDateTime": "20200102100000+0100"},
        {"AcquisitionTime": None, "AcquisitionDateTime": "20200102064000-0230"},
    ],
    "a zone beyond midnight": [
        {"AcquisitionTime": "233000", "AcquisitionDate": "20200102", "TimezoneOffsetFromUTC": "+0000"},
        {"AcquisitionTime": "004000", "AcquisitionDate": "20200103", "TimezoneOffsetFromUTC": "+0100"},
    ],
    "the clock put back by an hour": [
        {"AcquisitionTime": "025900", "AcquisitionDate": "20201025", "TimezoneOffsetFromUTC": "+0200"},
        {"AcquisitionTime": "020300", "AcquisitionDate": "20201025", "TimezoneOffsetFromUTC": "+0100"},
    ],
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("numbers", [(3, 4), (4, 3)])
def test_series_are_in_the_order_in_which_they_were_taken(name, numbers, write_dicom, tmp_path):
    """Whatever their numbers; where no tag dates an image itself, the longest pause is the day."""
    for place, (number, tags) in enumerate(zip(numbers, ORDERS[name], strict=True)):
        write_dicom(
            tmp_path / str(place), series=f"1.{place}", SeriesNumber=number, SeriesDescription=f"s{place}", **tags
        )
    (study,), _ = find_studies(tmp_path)
    stacks = [stack for series in study.series for stack in stacks_of(series)]
    times = {stack.first.description: stack.seconds for stack in stacks}
    assert 0 < times["s1"] - times["s0"] < 700


def test_a_volume_over_midnight_is_one_and_a_dynamic_series_keeps_its_order(write_dicom, tmp_path):
    write_dicom(tmp_path / "one", AcquisitionTime=lambda n: ["235958", "235959", "000000"][n // 2])
    write_dicom(
        tmp_path / "dynamic",
        heights=[0, 3, 6] * 3,
        series="1.9",
        AcquisitionTime=lambda n: ["235940", "000000", "000020"][n // 3],
    )
    (study,), (note,) = find_studies(tmp_path)
    found = {series[0].series: stacks_of(series) for series in study.series}
    assert [len(stack.slices) for stack in found["1.2.3.4"]] == [6]
    first = found["1.9"][0].seconds
    assert [(stack.first.instance, stack.seconds - first) for stack in found["1.9"]] == [
        (None, 0),
        (None, 20),
        (None, 40),
    ]
    assert note == "studies with times on both sides of midnight under one date, taken as one night: ."
