"""Command line: writes what follows from a bundle's `train.yaml`: `inference.yaml`, and the JSON twins.

python -m scripts.engines.write_twins configs
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.engines.inference_yaml import write_inference
from scripts.engines.twins import write_twins

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Regenerate the JSON twins of a bundle's YAML files.")
    parser.add_argument(
        "configs", nargs="?", type=Path, default=Path("configs"), help="the bundle's configs folder"
    )
    configs = parser.parse_args().configs
    write_inference(configs)
    write_twins(configs)
