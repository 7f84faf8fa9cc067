"""The report of a training: its figures (report.json) and its page (report.html)."""

from ai_nano.core.report.figures import Epoch, Export, Report, Sample, load, read
from ai_nano.core.report.page import Fresh, render

__all__ = ["Epoch", "Export", "Fresh", "Report", "Sample", "load", "read", "render"]
