# SPDX-License-Identifier: Apache-2.0
"""Command line: `python -m workbench.serve`, which can be stopped from the start."""

from scripts.files import stopping

if __name__ == "__main__":
    stopping.install()
    from workbench.serve.command import main

    main()
