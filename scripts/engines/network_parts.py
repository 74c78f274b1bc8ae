"""Which keys of a configuration the network is made of."""

from __future__ import annotations

import json
import re
from typing import Any

_REFERENCE = re.compile(r"@(\w+)")


def network_parts(config: dict[str, Any], kinds: tuple[str, ...]) -> list[str]:
    """Return those of `kinds` that the network uses, followed through the references of the configuration.

    Of the encoders of volumes and of planes, which the reader both refers to, those that `views` asks for.

    >>> config = {"network_def": {"encoder": "@reader"}, "reader": {"a": "@encoder", "b": "@plane_encoder"},
    ...           "encoder": {}, "plane_encoder": {}, "fusion": {}, "views": ["axial"]}
    >>> network_parts(config, ("fusion", "encoder", "plane_encoder"))
    ['plane_encoder']
    """
    views = config.get("views") or []
    unread = {"plane_encoder"} if not views else set() if "volume" in views else {"encoder"}
    if "plane_encoder" not in config:  # from before there were views
        unread = set()
    reached: set[str] = set()
    waiting = ["network_def"]
    while waiting:
        key = waiting.pop()
        if key in config and key not in reached:
            reached.add(key)
            waiting += _REFERENCE.findall(json.dumps(config[key], default=str))
    return [kind for kind in kinds if kind in reached - unread]
