# SPDX-License-Identifier: Apache-2.0
"""report.html and further figures of a training, an evaluation or a comparison."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    attention="AttentionReport",
    errors="ErrorReport",
    features="FeatureReport",
    report="report_folder report_run",
    weights="WeightReport plot_weights",
    withhold="WithholdPhases",
)
