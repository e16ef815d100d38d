"""Trained sparse autoencoders of five file formats, read into one `Teacher`."""

from rsae.teacher.base import Teacher
from rsae.teacher.load import FORMATS, load_teacher

__all__ = ["FORMATS", "Teacher", "load_teacher"]
