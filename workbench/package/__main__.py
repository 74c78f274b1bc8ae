# SPDX-License-Identifier: Apache-2.0
"""Command line: packs the bundle into a zip for the MONAI Model Zoo.

python -m workbench.package
python -m workbench.package --bundle_root results/mine --dry_run_hub my-group/my-model
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from scripts.files import errors
from scripts.files.run_folder import refuse_bundle, typed_folder
from workbench.package.contents import files_for_hub, read_file
from workbench.package.packing import package


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a wrong argument ends it with one line."""
    parser = argparse.ArgumentParser(prog="python -m workbench.package", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--bundle_root", type=Path, default=Path("."), help="this bundle, or a results folder (default .)"
    )
    parser.add_argument("--output", type=typed_folder, default=Path("dist"), help="folder of the zip (default dist)")
    parser.add_argument(
        "--weights_url", metavar="URL", help="where others download model.pt; it is then left out of the zip"
    )
    parser.add_argument(
        "--dry_run_hub", metavar="OWNER/NAME", help="list what would go to this Hugging Face repository"
    )
    errors.install()  # removes the temporary copy if the command is stopped
    chosen = parser.parse_args(arguments)
    try:
        refuse_bundle(chosen.output)
        file = package(chosen.bundle_root, chosen.output, chosen.weights_url)
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB, made from {chosen.bundle_root.resolve()}")
        about = json.loads(read_file(file, "configs/metadata.json"))
        empty = [f"{key} in configs/metadata.json" for key in ("authors", "copyright") if not about[key]]
        if not (chosen.bundle_root / "docs" / "data_license.txt").is_file():
            empty.append("the licence of the training data in docs/data_license.txt")
        if empty:
            print(f"before you share it, write into {chosen.bundle_root}: {', '.join(empty)}")
        if chosen.dry_run_hub:
            print(f"would go to the Hugging Face repository {chosen.dry_run_hub} (nothing was sent):")
            for name, size in files_for_hub(file, chosen.dry_run_hub).items():
                print(f"{size:>12,} bytes  {name}")
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
