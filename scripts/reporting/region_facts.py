"""Which cases the grid shows only in part, by the region rule of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.data.cut_regions import CutRegions, cut_of
from scripts.data.document import open_document, read_items

KEYS = ("phases", "reference_phase", "region", "spacing", "grid_size", "orientation")


def region_facts(dataset_dir: str | Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Look at the region of every case; never fails.

    Args:
        dataset_dir: folder of dataset.json.
        config: of the model's training.

    Returns:
        cases (number looked at), cropped (names of those whose region is larger than the grid) and left_out
        ({case: share of its mask outside the region}); or only `reason`.
    """
    from monai.bundle import ConfigParser

    from scripts.transforms import LoadImagePhasesd, ResamplePhasesd

    region = config.get("region")
    if any(key not in config for key in KEYS) or not isinstance(region, Mapping):
        return {"reason": "the model's folder holds no region rule"}
    if str(region.get("_target_", "")).endswith("WholeVolumeRegiond"):
        return {"reason": "the region is the whole volume"}
    try:
        rule = ConfigParser(dict(region)).get_parsed_content()
        grid = ResamplePhasesd(
            spacing=config["spacing"], size=config["grid_size"], orientation=config["orientation"]
        )
        phases = list(config["phases"])
        load = LoadImagePhasesd(phases=phases, reference=config["reference_phase"])
        document = open_document(dataset_dir)
        items = read_items(document, phases)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"reason": " ".join(str(error).split())}
    found, looked = CutRegions(), 0
    for item in items:
        try:
            placed = dict(rule(load(item)))
            grid.fit(placed)
        except (OSError, ValueError):  # told where the case is read
            continue
        looked += 1
        found.add(item["case"], cut_of(placed))
    left_out = {case: round(share, 4) for case, share in sorted(found.left_out.items())}
    return {"cases": looked, "cropped": sorted(found.exceeding), "left_out": left_out}
