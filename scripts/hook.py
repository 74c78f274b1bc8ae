# SPDX-License-Identifier: Apache-2.0
"""Imported by every configuration before MONAI resolves anything: from here on a mistake is one line."""

from scripts.engines.running import running_parser
from scripts.files import stopping
from scripts.files.errors import install

stopping.install()  # before torch and MONAI's parts are imported, which takes seconds


def check_initialize() -> None:
    """End where `initialize`, which checks everything else, is no list of expressions.

    MONAI takes an error in an import for a package that is not there, and goes on; not so `SystemExit`.
    """
    parser = running_parser()
    value = [] if parser is None else parser.get("initialize", [])
    if not isinstance(value, list):
        raise SystemExit(f"error: initialize must be a list of expressions, found {value!r:.120}; correct it")


install()
check_initialize()
