# SPDX-License-Identifier: Apache-2.0
"""A real MONAI Label server for this folder's tests."""

from tests.label_server import app, cases, results, server, studies

__all__ = ["app", "cases", "results", "server", "studies"]
