"""Trained sparse autoencoders of eight file formats, read into one `Teacher`."""

from rsae.pretrained.base import Teacher
from rsae.pretrained.load import FORMATS, load_teacher

__all__ = ["FORMATS", "Teacher", "load_teacher"]
