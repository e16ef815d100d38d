"""Adapters to SAEBench and to the end of `rsae upgrade`."""
