"""What is looked for; a new check is a function of the cases, and one line here."""

from collections.abc import Callable, Sequence

from scripts.quality.finding import Checked
from scripts.quality.seen import CaseSeen

from .copies import copies
from .headers import headers
from .orientation import orientation
from .outliers import intensity, spacing
from .overlap import overlap
from .pieces import pieces
from .readable import readable
from .region import region
from .slice_order import missing, repeated
from .voxels import constant, finite

CHECKS: tuple[Callable[[Sequence[CaseSeen]], Checked], ...] = (
    readable,
    headers,
    finite,
    constant,
    region,
    pieces,
    overlap,
    orientation,
    repeated,
    missing,
    spacing,
    intensity,
    copies,
)
