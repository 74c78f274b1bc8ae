"""Makes the zip that the MONAI Model Zoo takes, of this bundle or of a results folder."""

from .archive import write_zip
from .contents import copy_contents
from .hub import files_for_hub
from .large_files import move_out_weights
from .model_card import model_card
from .own_paths import remove_own_paths
from .package import BUNDLE_NAME, package

__all__ = [
    "BUNDLE_NAME",
    "copy_contents",
    "files_for_hub",
    "model_card",
    "move_out_weights",
    "package",
    "remove_own_paths",
    "write_zip",
]
