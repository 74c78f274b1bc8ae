"""DICOM studies: found in any nesting, sorted into volumes, given phases by rules, written as NIfTI."""
