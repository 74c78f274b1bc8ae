# SPDX-License-Identifier: Apache-2.0
"""Run by Python at its start: lets torchvision load with a torch that lacks its compiled operators."""

import importlib.abc
import importlib.util
import sys


class _DeclareOperators(importlib.abc.MetaPathFinder):
    """Declares two operators of torchvision just before it is imported, and steps aside."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            for operator in ("nms", "qnms"):
                schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                library = torch.library.Library("torchvision", "FRAGMENT")
                library.define(schema)
                _kept.append(library)
        return None


_kept: list = []  # operators vanish when their library is garbage-collected
sys.meta_path.insert(0, _DeclareOperators())
