"""Trained sparse autoencoders of five file formats, read into one `Teacher`.

Example:
    >>> from rsae.teacher import load_teacher
    >>> teacher = load_teacher("demo:relu")          # doctest: +SKIP
"""

from .base import Teacher
from .load import FORMATS, load_teacher

__all__ = ["FORMATS", "Teacher", "load_teacher"]
