"""quality.html: faults in the images of a dataset, found before training."""

from .finding import Finding
from .quality import check_quality, list_bad, require_quality

__all__ = ["Finding", "check_quality", "list_bad", "require_quality"]
