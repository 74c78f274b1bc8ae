# SPDX-License-Identifier: Apache-2.0
"""Makes the zip that the MONAI Model Zoo takes, of this bundle or of a results folder."""
