# SPDX-License-Identifier: Apache-2.0
"""Registration of the phases of a case to its reference phase, as a change of the header alone."""

from scripts import exports

__getattr__, __all__ = exports(__name__, pair="Registration")
