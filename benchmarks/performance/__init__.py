# SPDX-License-Identifier: Apache-2.0
"""Speed, memory and share of the machine, side by side with other ways to do the same; see `__main__`."""
