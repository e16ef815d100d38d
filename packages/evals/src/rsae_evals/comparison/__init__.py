"""Paired comparison of SAEs: differences, intervals and verdicts."""
