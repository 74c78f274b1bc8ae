"""Imported by every configuration before MONAI resolves anything: from here on a mistake is one line."""

from .errors import install

install()
