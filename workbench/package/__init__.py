# SPDX-License-Identifier: Apache-2.0
"""Packs this bundle or a results folder into a zip for the MONAI Model Zoo."""
