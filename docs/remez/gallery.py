"""Draw the gallery's pictures: ``python docs/remez/gallery.py`` (``make gallery``)."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

import remez
from remez import targets

mpl.use("Agg")
import matplotlib.pyplot as plt

FOLDER = Path(__file__).parent / "gallery"
FITS = {
    "exp": (targets.exp, (5, 4), (-1, 1)),
    "abs": (targets.abs, (8, 8), (-1, 1)),
    "sign": (np.sign, (9, 8), [(-1, -0.01), (0.01, 1)]),
    "gelu": (targets.gelu, (8, 8), (-6, 6)),
}


def main() -> None:
    """Fit, draw and write every picture."""
    FOLDER.mkdir(exist_ok=True)
    for name, (fn, degree, domain) in FITS.items():
        axes = remez.fit(fn, degree, domain).plot()
        axes.figure.savefig(FOLDER / f"{name}.svg")
        plt.close(axes.figure)
    axes = remez.error_table(targets.exp, 5).plot()
    axes.figure.savefig(FOLDER / "table.svg")
    plt.close(axes.figure)


if __name__ == "__main__":
    main()
