# SPDX-License-Identifier: Apache-2.0
"""Image files and grids in mm: opened, read a block at a time, sampled."""
