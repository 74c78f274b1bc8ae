# SPDX-License-Identifier: Apache-2.0
"""Check a results folder or an unpacked bundle from elsewhere, before any of it runs.

python -m workbench.verify FOLDER [--allow scripts.networks.fusion.Mine scripts/networks/fusion/mine.py]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench.verify.folder import verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line for each finding and a final one; return 1 if there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m workbench.verify", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="results folder, or bundle as unpacked")
    parser.add_argument(
        "--allow", nargs="+", default=[], metavar="NAME",
        help="targets and files of your own: scripts.networks.fusion.Mine scripts/networks/fusion/mine.py",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    try:
        found = verify(given.folder, given.allow)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    for finding in found:
        print(finding)
    if found:
        print(f"{given.folder}: {len(found)} findings; do not run it")
        return 1
    print(f"{given.folder}: nothing but the bundle's own code and plain data")
    return 0


if __name__ == "__main__":
    sys.exit(main())
