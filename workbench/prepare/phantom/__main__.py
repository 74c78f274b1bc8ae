# SPDX-License-Identifier: Apache-2.0
"""`python -m workbench.prepare.phantom`: make the built-in phantom, or further test cases of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from workbench.prepare.phantom.dataset import DEFAULT_CASES, make_phantom


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a wrong argument ends it with one line."""
    parser = argparse.ArgumentParser(prog="python -m workbench.prepare.phantom", description=__doc__)
    parser.add_argument("--output", required=True, help="folder to write, new or empty")
    parser.add_argument("--extra", type=int, metavar="N", help="N further test cases in place of the default 200")
    parser.add_argument("--seed", type=int, default=0, help="seed of the phantom (default 0)")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.extra is None:
            path = make_phantom(chosen.output, seed=chosen.seed)
        else:
            path = make_phantom(chosen.output, chosen.seed, first=DEFAULT_CASES, splits={"test": chosen.extra})
    except ValueError as error:
        raise SystemExit(str(error)) from None
    print(path)


if __name__ == "__main__":
    main()
