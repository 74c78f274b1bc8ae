# SPDX-License-Identifier: Apache-2.0
"""How an attempt with a mutated document ends: it is accepted, or refused in one line."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from scripts.files import errors
from scripts.files.processes import BadCases

from tests.attack.conftest import Canary

SECONDS = 30
"""An attempt in this process may take so long."""
_STEERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Letters by which a text would steer the terminal that shows it."""


class _TooLong(BaseException):
    """The time of an attempt is over."""


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(_: int, frame: FrameType | None) -> None:
        raise _TooLong(f"after {seconds} s in {frame.f_code if frame else None}")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ending(attempt: Callable[[], None]) -> tuple[str, str]:
    """Make an attempt in this process; return how it ended, as a column of the tally, and what it said.

    An error before the bundle's excepthook stands is MONAI's, e.g. of YAML that it cannot read.
    """
    hook, path, printed = sys.excepthook, list(sys.path), io.StringIO()
    sys.excepthook = sys.__excepthook__
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(printed))
            stack.enter_context(contextlib.redirect_stderr(printed))
            stack.enter_context(warnings.catch_warnings(action="ignore"))
            stack.enter_context(_at_most(SECONDS))
            attempt()
        how, said = "done", printed.getvalue()
    except AssertionError as error:
        how, said = "wrongly_accepted", str(error)
    except _TooLong as error:
        early = sys.excepthook is sys.__excepthook__  # MONAI expands the aliases of YAML before any of our code runs
        how, said = "by_monai" if early else "tracebacks", f"too long: {error}"
    except BaseException as error:
        how, said = "refused", _line(error)
        if sys.excepthook is sys.__excepthook__:
            how, said = "by_monai", str(error)
        elif not said:
            how, said = "tracebacks", f"{type(error).__name__}: {error}"
    finally:
        sys.excepthook, sys.path[:] = hook, path
    return _sound(how, said)


def _line(error: BaseException) -> str:
    """Return what is shown of an error, lines of several bad cases as one; "" where that is a traceback."""
    if errors.message_of(error) is None:
        return ""
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        errors.show_one_line(type(error), error, error.__traceback__)
    said = shown.getvalue().removeprefix("error: ").split("\n(set ")[0]
    several = any(isinstance(one, BadCases) for one in errors.error_chain(error))
    return said.replace("\n", " / ") if several else said


def ending_of_command(status: int, output: str) -> tuple[str, str]:
    """Return how a command ended, and what it said."""
    if status == 0:
        return _sound("done", output)
    line = re.search("^error: .*", output, re.MULTILINE)
    if "Traceback (most recent call last)" in output:
        ours = re.search(r'File ".*/scripts/(?!.*monai).*", line', output.replace("monai/bundle/scripts", ""))
        return ("tracebacks" if ours or line else "by_monai"), output
    if status < 0 or line is None:
        return "tracebacks", f"status {status}: {output}"
    return _sound("refused", line.group())


def _sound(how: str, said: str) -> tuple[str, str]:
    """Return the ending, a traceback where what was said is not fit to be read."""
    if how in ("done", "refused") and (_STEERS.search(said) or "Traceback" in said):
        return "tracebacks", f"steers the terminal: {said!r}"
    if how == "refused" and len(said.splitlines()) != 1:
        return "tracebacks", f"{len(said.splitlines())} lines: {said!r}"
    return how, said


def count(
    make: Callable[[int], bytes], numbers: Sequence[int], attempt: Callable[[bytes], tuple[str, str]], canary: Canary
) -> Counter[str]:
    """Attempt mutations by their numbers; return the counts of a tally, or fail with every fault."""
    counts, faults = Counter[str](), list[str]()
    for number in numbers:
        how, said = attempt(make(number))
        counts.update(["tried", how])
        if canary.ran:
            canary.file.unlink()
            counts.update(["payloads_run"])
            faults.append(f"{number}: a payload was run: {said[-300:]!r}")
        if how not in ("done", "refused", "by_monai"):
            faults.append(f"{number}: {how}: {said[:200]!r} ... {said[-500:]!r}")
    assert not faults, "\n".join([f"{len(faults)} of {len(numbers)}", *faults])
    return counts
