# SPDX-License-Identifier: Apache-2.0
"""Every configuration imports this before MONAI resolves anything, so that each mistake is reported in one line."""

from scripts.engines.running import running_parser
from scripts.files import stopping
from scripts.files.errors import install

stopping.install()  # before torch and MONAI's parts are imported, which takes seconds


def check_initialize() -> None:
    """Exit unless `initialize`, which runs all other checks, is a list of expressions.

    MONAI swallows an ordinary exception during an import as a missing package, but not `SystemExit`.
    """
    parser = running_parser()
    value = [] if parser is None else parser.get("initialize", [])
    if not isinstance(value, list):
        raise SystemExit(f"error: initialize must be a list of expressions, found {value!r:.120}; correct it")


install()
check_initialize()
