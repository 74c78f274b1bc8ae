# SPDX-License-Identifier: Apache-2.0
"""The built-in phantom: synthetic multi-phase liver CT whose true class probabilities are known."""
