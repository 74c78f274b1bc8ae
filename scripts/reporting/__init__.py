"""report.html: one file that shows a training, an evaluation or a comparison to a reader."""

from .report import report_comparison, report_folder, report_run

__all__ = ["report_comparison", "report_folder", "report_run"]
