"""DICOM studies: found in any nesting, sorted into volumes, given phases by rules, written as NIfTI."""

from .assign import Assignment, assign_study
from .convert import write_stack
from .rules import Rule, read_rules
from .scan import Study, find_studies
from .stacks import Stack, stacks_of

__all__ = [
    "Assignment",
    "Rule",
    "Stack",
    "Study",
    "assign_study",
    "find_studies",
    "read_rules",
    "stacks_of",
    "write_stack",
]
