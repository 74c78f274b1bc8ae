# SPDX-License-Identifier: Apache-2.0
"""Former names, as configurations in earlier results folders use them, and where each thing is now.

Some of them moved to the workbench, which is imported only when such a configuration names it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PLACES = {
    "scripts.comparison": {"workbench.compare": "compare start_comparing"},
    "scripts.data": {
        "scripts.cases": "BatchShares CaseShare EpochBatchSampler ReadableLoader cached_dataset "
        "declared_columns name_bad positive_class read_unlabelled"
    },
    "scripts.data.bias_field": {"workbench.prepare.bias_field": "BiasCorrection"},
    "scripts.data.registration": {"workbench.prepare.registration": "Registration"},
    "scripts.engines": {"workbench.report": "WithholdPhases"},
    "scripts.evaluation": {
        "scripts.engines": "EvaluationReport",
        "workbench.report": "AttentionReport ErrorReport FeatureReport WeightReport",
    },
    "scripts.explain": {"workbench.explain": "Occlusion explain_cases"},
    "scripts.exports": {"workbench.export": "export_model"},
    "scripts.fusion": {
        "scripts.networks.fusion": "Abaf AdaptiveConv Attention Bilinear Cbam Concat ConcatMaps "
        "CrossAttention Depthwise Evidential FusedAttention Gated Kronecker KroneckerCompact LateMean "
        "LateProduct LateWeighted LowRankTensor Max Mean SelfAttention SideBySide SpatialGated "
        "SqueezeExcitation WeightedSum"
    },
    "scripts.networks": {
        "scripts.networks.encoders": "MonaiDenseNetEncoder MonaiEfficientNetEncoder MonaiResNetEncoder "
        "MonaiSEResNetEncoder MonaiViTEncoder ResidualEncoder reader"
    },
    "scripts.predict": {"workbench.predict": "write_prediction"},
    "scripts.quality": {"workbench.prepare.quality": "require_quality"},
    "scripts.reporting": {"workbench.report": "report_folder report_run"},
    "scripts.verify": {"scripts.engines": "record"},
}
"""Former package -> present package -> names, separated by spaces."""

MOVED = {
    f"{before}.{name}": (now, name)
    for before, places in PLACES.items()
    for now, names in places.items()
    for name in names.split()
}


class Before(ModuleType):
    """A former package, whose names are looked up where they are now."""

    def __getattr__(self, name: str) -> Any:
        return moved(self.__name__, name)


def moved(package: str, name: str) -> Any:
    """Return what a name of a former package refers to.

    >>> moved("scripts.fusion", "Abaf").__module__
    'scripts.networks.fusion.tokens'

    Raises:
        AttributeError: the package never had this name.
    """
    full = f"{package}.{name}"
    if full in MOVED:
        now, name = MOVED[full]
        return getattr(import_module(now), name)
    if full in PLACES:
        return sys.modules[full]
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def know_packages_of_before() -> None:
    """Register the former packages as imported, so that empty folders left by an update are not imported instead."""
    own = Path(__file__).parent.parent
    for package in PLACES:
        place = own.joinpath(*package.split("."))
        if not (place / "__init__.py").is_file() and not place.with_suffix(".py").is_file():
            sys.modules[package] = Before(package)
