# SPDX-License-Identifier: Apache-2.0
"""Image files and grids in mm: opening, reading a block at a time, sampling."""
