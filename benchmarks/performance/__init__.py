# SPDX-License-Identifier: Apache-2.0
"""Speed, memory and use of the machine, compared with other ways to do the same; see `__main__`."""
