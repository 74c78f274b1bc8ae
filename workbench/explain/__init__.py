"""What moved a prediction: the contribution of each phase, and where in it."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    explaining="explain_cases",
    occlusion="Occlusion",
)
