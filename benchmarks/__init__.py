# SPDX-License-Identifier: Apache-2.0
"""Commands that produce the figures of the documentation."""
