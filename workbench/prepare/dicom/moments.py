# SPDX-License-Identifier: Apache-2.0
"""When images were taken: date and time from whichever tags hold them, on one clock for a whole study."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from workbench.prepare.dicom.tags import Tags

DAY = 86400.0
NIGHT = 18 * 3600.0
"""Gap in s between images under one date from which the study is taken to have run past midnight."""
DATED = ("FrameAcquisitionDateTime", "AcquisitionDateTime", "FrameReferenceDateTime")
CLOCKS = ("Acquisition", "Content", "Series")


@dataclass(frozen=True)
class Moment:
    """When an image was taken."""

    clock: float  # time of day in s
    day: int | None = None  # number of the day, None where no tag holds a date
    # whether the date is that of the image, its series or the beginning of its study; False where only the
    # day of the study is known, which may have ended the day after
    own: bool = True
    offset: float | None = None  # s ahead of UTC, or None


def moment_of(tags: Tags) -> Moment | None:
    """Return when an image was taken: by the tags of its frame, else its acquisition, content or series.

    A time without a date takes the date of another tag, moved to the day that brings both times closest; with
    the date of the study, to the day that puts the image at most 6 h before the study began.
    """
    zone = _offset(tags.text("TimezoneOffsetFromUTC"))
    frame, whole, reference = (_dated(tags.text(name), zone) for name in DATED)
    if frame:
        return frame
    shift = tags.number("TemporalPositionTimeOffset")
    if whole and shift is not None:
        moved = (whole.day or 0) * DAY + whole.clock + shift
        return Moment(moved % DAY, int(moved // DAY), True, whole.offset)
    for name in CLOCKS:
        clock = _clock(tags.text(f"{name}Time"))
        if clock is None:
            if name == "Acquisition" and (whole or reference):
                return whole or reference
            continue
        day = _day(tags.text(f"{name}Date"))
        if day is not None:
            return Moment(clock, day, True, zone)
        if whole and whole.day is not None:
            return Moment(clock, _nearest_day(clock, whole.day, whole.clock), True, zone)
        for other in [one for one in CLOCKS if one != name]:
            day, beside = _day(tags.text(f"{other}Date")), _clock(tags.text(f"{other}Time"))
            if day is not None:
                return Moment(clock, _nearest_day(clock, day, beside), beside is not None, zone)
        day, began = _day(tags.text("StudyDate")), _clock(tags.text("StudyTime"))
        if day is not None and began is not None:
            return Moment(clock, _nearest_day(clock, day, began + 6 * 3600.0), True, zone)
        return Moment(clock, day, False, zone)
    return None


def on_one_clock(moments: Sequence[Moment | None], ranks: Sequence[int]) -> tuple[list[float | None], str]:
    """Return the times of a study's images in s since day 0, in its usual time zone; and what was assumed.

    Args:
        ranks: series number of each image.
    """
    known = [moment for moment in moments if moment is not None]
    zones = Counter(moment.offset for moment in known if moment.offset is not None)
    usual = zones.most_common(1)[0][0] if zones else 0.0
    days = [moment.day for moment in known if moment.day is not None and moment.own]
    unsaid = int(np.median(days)) if days else next((m.day for m in known if m.day is not None), 0)
    seconds = [
        None
        if moment is None
        else (unsaid if moment.day is None else moment.day) * DAY
        + moment.clock
        + (0.0 if moment.offset is None else usual - moment.offset)
        for moment in moments
    ]
    return _past_midnight(seconds, [moment is not None and moment.own for moment in moments], ranks)


def _past_midnight(
    seconds: list[float | None], own: Sequence[bool], ranks: Sequence[int]
) -> tuple[list[float | None], str]:
    """Move what was taken after midnight to the next day, where the dates do not say so.

    Where every image has a date of its own, only if the series numbers agree: anonymisation may have replaced
    all dates by one, which alone does not turn a study of one day into one across midnight.
    """
    times = sorted({second for second in seconds if second is not None})
    if len(times) < 2 or times[0] // DAY != times[-1] // DAY:
        return seconds, ""
    gaps = np.diff(times)
    widest = int(gaps.argmax())
    if gaps[widest] < NIGHT:
        return seconds, ""
    evening = times[widest + 1]
    ranked = [(second, rank) for second, rank in zip(seconds, ranks, strict=True) if second is not None]
    late = max(rank for second, rank in ranked if second >= evening)
    if all(own) and late >= min(rank for second, rank in ranked if second < evening):
        return seconds, ""
    moved = [second if second is None or second >= evening else second + DAY for second in seconds]
    return moved, "times on both sides of midnight under one date, taken as one night"


def _nearest_day(clock: float, day: int, beside: float | None) -> int:
    """Return the day on which `clock` is nearest to the time `beside` of `day`."""
    return day if beside is None else day + round((beside - clock) / DAY)


def _dated(text: str, zone: float | None) -> Moment | None:
    """Read YYYYMMDDHH[MM[SS[.ffffff]]][+ZZZZ].

    >>> _dated("20120820120804.06+0100", None)
    Moment(clock=43684.06, day=734735, own=True, offset=3600.0)
    >>> _dated("20120820", None) is None
    True
    """
    found = re.fullmatch(r"(\d{8})(\d{2,6}(?:\.\d*)?)([+-]\d{4})?", text)
    if not found:
        return None
    day, clock, own_zone = _day(found[1]), _clock(found[2]), _offset(found[3] or "")
    return None if day is None or clock is None else Moment(clock, day, True, zone if own_zone is None else own_zone)


def _day(text: str) -> int | None:
    """Return the number of a day written YYYYMMDD or YYYY.MM.DD.

    >>> _day("20200103") - _day("2019.12.31"), _day("20201303")
    (3, None)
    """
    found = re.fullmatch(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", text)
    try:
        return date(*map(int, found.groups())).toordinal() if found else None
    except ValueError:
        return None


def _clock(text: str) -> float | None:
    """Return HH[MM[SS[.ffffff]]] in s since midnight.

    >>> _clock("120342.5"), _clock("11:11:11"), _clock("0930"), _clock("250000"), _clock("")
    (43422.5, 40271.0, 34200.0, None, None)
    """
    found = re.fullmatch(r"(\d{2}):?(\d{2})?:?(\d{2}(?:\.\d*)?)?", text)
    if not found:
        return None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    if hours > 23 or minutes > 59 or seconds > 61:
        return None
    return round(hours * 3600 + minutes * 60 + seconds, 6)


def _offset(text: str) -> float | None:
    """Return +HHMM in s ahead of UTC.

    >>> _offset("-0330"), _offset("")
    (-12600.0, None)
    """
    found = re.fullmatch(r"([+-])(\d{2})(\d{2})", text)
    return None if not found else float(f"{found[1]}1") * (int(found[2]) * 3600 + int(found[3]) * 60)
