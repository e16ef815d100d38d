"""Draw the pictures of the README and the landing page into docs/pictures: `make pictures`."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

import remez

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def error_curve() -> None:
    """The error of the best rational approximation of exp of type (3, 3)."""
    axes = remez.fit(np.exp, (3, 3)).plot()
    axes.figure.set_size_inches(6.4, 3.2)
    axes.figure.set_layout_engine("tight")
    # no date and fixed identifiers: the same file every time
    axes.figure.savefig(FOLDER / "error-curve.svg", metadata={"Date": None})


if __name__ == "__main__":
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "remez"
    FOLDER.mkdir(exist_ok=True)
    error_curve()
