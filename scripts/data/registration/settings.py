"""What a user says about the registration."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.data.nearest import listing

TRANSFORMS = ("none", "rigid", "affine")


@dataclass(frozen=True)
class Registration:
    """How phases are registered to the reference phase, and what is not believed.

    Args:
        transform: none, rigid (turn and shift) or affine (also scale and shear).
        margin: mm around the region of interest in which the phases are compared.
        seconds: time at most for the search of one pair; the best found by then counts.
        max_shift: mm; a region that would move further stays where it is.
        max_rotation: degrees; likewise.

    Raises:
        ValueError: an unknown transform, or a number that is not above 0 (the margin: 0 or more).
    """

    transform: str = "none"
    margin: float = 40.0
    seconds: float = 60.0
    max_shift: float = 30.0
    max_rotation: float = 15.0

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            known = listing(str(self.transform), TRANSFORMS)
            raise ValueError(
                f"registration must be one of {known}, found {self.transform!r}; correct --registration"
            )
        for name in ("margin", "seconds", "max_shift", "max_rotation"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ValueError(
                    f"registration_{name} must be a number of 0 or more, found {value!r}; correct "
                    f"--registration_{name}"
                )
