"""What `rsae report` does, and how every comparison is handed over; no torch is imported here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rsae.terminal import Console
from rsae_evals.report import read, show, write
from rsae_evals.results import Comparison

__all__ = ["hand_over", "run_report", "write_report"]


def run_report(args: argparse.Namespace) -> int:
    """Write report.html and report.md again from report.json, and print the table."""
    found = read(args.path)
    args.out = args.out or (args.path if args.path.is_dir() else args.path.parent)
    return hand_over(found, args)


def hand_over(found: Comparison, args: argparse.Namespace) -> int:
    """Write the report if asked to; print JSON, or else the table and the path."""
    if args.json:
        if args.out:
            write(found, args.out)
        print(json.dumps(found.to_dict(), ensure_ascii=False))
        return 0
    console = Console()
    show(found, console)
    if args.out:
        write_report(found, args.out, console)
    return 0


def write_report(found: Comparison, out: Path, console: Console) -> None:
    """Write the report's three files and print where its page is."""
    path = write(found, out) / "report.html"
    console.print(f"Report: {path}", soft_wrap=True, highlight=False)
