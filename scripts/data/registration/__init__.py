"""Registration of the phases of a case to its reference phase, as a change of the header alone."""

from __future__ import annotations

from .cases import register_cases
from .settings import Registration

__all__ = ["Registration", "register_cases"]
