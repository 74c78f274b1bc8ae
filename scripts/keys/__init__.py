# SPDX-License-Identifier: Apache-2.0
"""The keys of the configurations: what each may hold, how typed text is read, what is refused."""

from scripts import exports

__getattr__, __all__ = exports(__name__)
