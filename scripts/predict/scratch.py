"""Where the volumes of a patient lie while they are predicted."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.evaluation.run_folder import record_of, run_in

PREFIX = "predict-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a temporary folder; those that killed runs of this user left behind are removed as well."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, ValueError):  # in use, or another user's
            if left.lstat().st_uid == os.getuid() and not left.is_symlink() and "process" in record_of(left):
                with run_in(left, "predicting"):
                    shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, run_in(folder, "predicting"):
        yield Path(folder)
