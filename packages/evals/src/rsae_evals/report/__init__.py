"""A comparison for readers: one HTML page, Markdown, JSON, and a table in the terminal."""

from rsae_evals.report.files import read, write
from rsae_evals.report.markdown import markdown
from rsae_evals.report.page import html
from rsae_evals.report.terminal import show, show_probing

__all__ = ["html", "markdown", "read", "show", "show_probing", "write"]
