"""Plan the upgrade of a whole release: count, bytes, GPU hours and cost, from measured rates.

    OMP_NUM_THREADS=1 python -m benchmarks.rsae.size --size 2304,16384,1024 --steps 0 --json r.json
    python -m benchmarks.rsae.release --rates r.json

The releases are those of Gemma Scope 2B in SAELens' list, with every SAE trained on. The
measurement says how much a training step costs beside the one dense product it contains; the
product itself is counted in operations, 2 d_in d_sae for a token, as is the language model, 2 for a
parameter. What a GPU sustains and its price are assumptions, given as options. Training holds
`COPIES` times an SAE's weights, in float32; as many SAEs as fit learn from one pass of the model.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

from rsae.upgrading.estimate import COPIES

WIDTH_OF_SITE = {"res": 2304, "mlp": 2304, "att": 2048}  # of Gemma 2 2B; hook_z has 8 x 256
PARAMETERS = 2.6e9  # of Gemma 2 2B
FEATURES = {"k": 1024, "m": 1024**2}
GIB = 2**30


@dataclass(frozen=True)
class Assumptions:
    """What is not measured here.

    Attributes:
        overhead: Cost of a training step over its one dense product; this one is measured.
        tokens: Tokens that each SAE is trained on.
        flops: Operations per second that a GPU sustains, in the SAE and in the model.
        memory_gib: Memory of a GPU that is left for SAEs.
        price: Of a GPU hour, in dollars.
    """

    overhead: float
    tokens: float
    flops: float
    memory_gib: float
    price: float


@dataclass(frozen=True)
class Group:
    """SAEs of one site and width.

    Attributes:
        name: Site and width.
        count: Number of SAEs.
        d_in, d_sae: Their widths.
    """

    name: str
    count: int
    d_in: int
    d_sae: int

    @property
    def gib(self) -> float:
        """Weights of one SAE, in float32."""
        return 4 * (2 * self.d_in * self.d_sae + 2 * self.d_sae + self.d_in) / GIB

    def fit(self, given: Assumptions) -> int:
        """How many of them a GPU trains at once; 0 where not one fits."""
        return int(given.memory_gib / (COPIES * self.gib))

    def training_hours(self, given: Assumptions) -> float:
        """GPU hours of all training steps, wherever they run."""
        operations = 2 * self.d_in * self.d_sae * given.overhead
        return self.count * given.tokens * operations / given.flops / 3600

    def model_hours(self, given: Assumptions) -> float:
        """GPU hours of the language model's passes."""
        passes = -(-self.count // max(1, self.fit(given)))
        return passes * given.tokens * 2 * PARAMETERS / given.flops / 3600


def groups(site: str) -> Iterator[Group]:
    """The SAEs of a site of Gemma Scope 2B by width, smallest first."""
    release = get_pretrained_saes_directory()[f"gemma-scope-2b-pt-{site}"]
    found: Counter[str] = Counter()
    for name in release.saes_map:
        if match := re.search(r"width_(\d+[km])", name):
            found[match[1]] += 1
    for width in sorted(found, key=features):
        yield Group(f"{site}, {width}", found[width], WIDTH_OF_SITE[site], features(width))


def features(width: str) -> int:
    """Number of features of a width such as "16k" or "1m"."""
    return int(width[:-1]) * FEATURES[width[-1]]


def overhead(rates: dict[str, dict[str, dict[str, float]]]) -> float:
    """Largest cost of a step over its product among the sizes that `benchmarks.rsae.size` wrote."""
    return max(by["rsae"]["step"] / by["product"]["step"] for by in rates.values())


def table(rows: list[Group], given: Assumptions) -> Table:
    shown = Table("SAEs", "count", "GiB each", "GiB", "at once", "training h", "model h", "$")
    for row in rows:
        hours = row.training_hours(given), row.model_hours(given)
        shown.add_row(
            row.name,
            str(row.count),
            f"{row.gib:.2f}",
            f"{row.count * row.gib:.0f}",
            str(row.fit(given) or "none fits"),
            *(f"{one:.0f}" for one in hours),
            f"{sum(hours) * given.price:.0f}",
        )
    training = sum(row.training_hours(given) for row in rows)
    model = sum(row.model_hours(given) for row in rows)
    shown.add_section()
    shown.add_row(
        "all",
        str(sum(row.count for row in rows)),
        "",
        f"{sum(row.count * row.gib for row in rows):.0f}",
        "",
        f"{training:.0f}",
        f"{model:.0f}",
        f"{(training + model) * given.price:.0f}",
    )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=Path, required=True, help="what size --json wrote")
    parser.add_argument("--tokens", type=float, default=22_000 * 4096, help="per SAE")
    parser.add_argument("--tflops", type=float, default=50.0, help="that a GPU sustains")
    parser.add_argument("--gpu-gib", type=float, default=70.0, help="GPU memory left for SAEs")
    parser.add_argument("--price", type=float, default=2.0, help="dollars for a GPU hour")
    args = parser.parse_args()
    measured = overhead(json.loads(args.rates.read_text()))
    given = Assumptions(measured, args.tokens, args.tflops * 1e12, args.gpu_gib, args.price)
    Console(width=100).print(table([one for site in WIDTH_OF_SITE for one in groups(site)], given))
    one = Group("res, 1m", 1, WIDTH_OF_SITE["res"], features("1m"))
    print(
        f"One SAE of 1m features: {one.training_hours(given):.1f} h of training, "
        f"{one.model_hours(given):.1f} h of the model, {COPIES * one.gib:.0f} GiB while it trains."
    )
    stored = args.tokens * one.d_in * 2 / 1e9
    print(f"Activations of one hook, stored in float16: {stored:.0f} GB.")
    print(
        f"Measured: a step costs {measured:.2f} times its product (on the CPU). Assumed: "
        f"{args.tflops:g} TFLOP/s sustained, {args.gpu_gib:g} GiB for SAEs, "
        f"{args.price:g} dollars an hour, {args.tokens / 1e6:.0f} M tokens an SAE."
    )


if __name__ == "__main__":
    main()
