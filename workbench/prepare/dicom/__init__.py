# SPDX-License-Identifier: Apache-2.0
"""DICOM studies: found in any nesting, sorted into volumes, given phases by rules, written as NIfTI."""
