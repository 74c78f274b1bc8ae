# SPDX-License-Identifier: Apache-2.0
"""What moved a prediction: the contribution of each phase, and where in it."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__, contributions="phase_contributions", explaining="explain_cases", occlusion="Occlusion grad_cam layer_cam"
)
