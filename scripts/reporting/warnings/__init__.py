"""What a reader must know before believing a figure, in plain words with the number that says so."""

from .caution import Caution
from .check import cautions_about
from .comparison import comparison_cautions

__all__ = ["Caution", "cautions_about", "comparison_cautions"]
