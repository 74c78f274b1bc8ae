# SPDX-License-Identifier: Apache-2.0
"""Files: written completely or not at all, and read with one clear line about what is wrong."""
