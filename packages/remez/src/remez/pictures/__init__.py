"""Plots, and results as HTML and LaTeX for notebooks."""
