"""What a folder from elsewhere may hold, looked at without running any of it: `python -m scripts.verify`."""

from scripts.verify.finding import Finding
from scripts.verify.folder import verify
from scripts.verify.trained import record, require_verified

__all__ = ["Finding", "record", "require_verified", "verify"]
