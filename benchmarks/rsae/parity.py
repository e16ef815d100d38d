"""Teachers written in every format that can hold them: an upgrade that is not tuned equals each.

    python -m benchmarks.rsae.parity TEACHER... --activations STORE [--preset paper]

One row per teacher and format: MSE and strict L0 of the teacher as it came, on the store's held-out
tokens, and by how many percent the upgrade of its converted file differs before any training. A
format that has no such function (a TopK in Gemma Scope, a TopK without standardised input in
OpenAI's) has no row.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from tests.rsae.pretrained.formats import convert

from rsae.data import ActivationStore
from rsae.metrics import Measured, measure, spread
from rsae.pretrained import FORMATS, Teacher, load_teacher
from rsae.upgrading.calibrate import calibrate
from rsae.upgrading.config import preset
from rsae.upgrading.initial_rational import fit_rational
from rsae_evals import reconstruction

ALLOWED = 0.1  # percent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("teacher", nargs="+")
    add("--activations", type=Path, required=True, help="a store made by rsae harvest or upgrade")
    add("--preset", choices=["default", "paper"], default="default")
    args = parser.parse_args()
    store = ActivationStore.open(args.activations)
    table = Table(
        "teacher", "format", "MSE", "strict L0", "MSE, %", "strict L0, %", "", box=MARKDOWN
    )
    worst = 0.0
    for name in args.teacher:
        teacher = load_teacher(name)
        x = store.split("heldout", teacher.metadata["hook_name"]).tensor()
        figures = reconstruction(teacher, x)
        mse, l0 = float(figures["mse"]), float(figures["l0"])
        for format in FORMATS:
            found = upgraded(teacher, format, store, args.preset)
            if found is None:
                continue
            apart = [100 * (found.mse / mse - 1), 100 * (found.l0 / l0 - 1)]
            worst = max(worst, *map(abs, apart))
            within = "ok" if max(map(abs, apart)) <= ALLOWED else "APART"
            figures_of_row = f"{mse:.2f}", f"{l0:.2f}", *(f"{value:+.5f}" for value in apart)
            table.add_row(Path(name).name, format, *figures_of_row, within)
    Console(width=110).print(table)
    print(f"largest difference {worst:.5f} % (allowed {ALLOWED} %), preset {args.preset}")


def upgraded(teacher: Teacher, format: str, store: ActivationStore, name: str) -> Measured | None:
    """The untuned upgrade of the teacher's converted file, on held-out tokens."""
    hook = teacher.metadata["hook_name"]
    with TemporaryDirectory() as folder:
        path = convert(teacher, format, Path(folder))
        if path is None:
            return None
        converted = load_teacher(path)
    assert converted.format == format
    config = preset(name, converted.family)
    x = spread(store.split("calibration", hook).tensor(), config.calibration_tokens)
    sae = calibrate(converted, fit_rational(config.rational), x)
    return measure(sae, store.split("heldout", hook).tensor())


if __name__ == "__main__":
    main()
