"""What refinement costs and what it gains.

    python -m benchmarks.rsae.refinement                          # cost, as shares of the encoder
    python -m benchmarks.rsae.refinement --activations STORE      # and the gain on packaged SAEs

Cost: CPU seconds of one thread per token, medians of interleaved repetitions, three conjugate-
gradient steps on random decoders with activations at 0.7 of the least-squares ones, as a share of
the encoder's product x W_enc and of that and the decoder's product z W_dec together. A small
dictionary's Gram matrix is made in the repetition that warms up, as in use in the first batch.
"batched" are the gathered products that a GPU and low precision use.

Gain: change of the squared error of the packaged SAEs on a store's held-out tokens, in percent,
with strict L0 behind it; 1 to 4 steps of conjugate gradients and of fixed sizes, the exact
solution, and pursuit. Weights are not trained.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import rsae
from rsae.data import ActivationStore
from rsae.metrics import measure
from rsae.sae import refinement_steps
from rsae.upgrading.refining import as_rsae

#: (d_in, d_sae, L0, tokens per batch)
SIZES = [
    (768, 24_576, 64, 256),
    (2304, 16_384, 64, 256),
    (576, 1_024, 64, 1_024),
    (576, 1_024, 64, 256),
    (768, 24_576, 200, 256),
]
TEACHERS = ("relu", "jumprelu", "topk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--activations", type=Path, help="a store made by rsae harvest; measures the gain as well")
    add("--repeats", type=int, default=9)
    add("--batched", action="store_true", help="measure the batched products too (slow)")
    add("--json", type=Path, help="where to write the numbers")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {"cost": [cost(*size, args.repeats, args.batched) for size in SIZES]}
    print_costs(found["cost"])
    if args.activations:
        store = ActivationStore.open(args.activations)
        found["gain"] = {name: gains(f"demo:{name}", store) for name in TEACHERS}
        print_gains(found["gain"])
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))


@torch.no_grad()
def cost(d_in: int, d_sae: int, l0: int, n: int, repeats: int, batched: bool) -> dict[str, Any]:
    """Microseconds of CPU time per token by what is done."""
    x, z, encoder, decoder = problem(d_in, d_sae, l0, n)

    fresh = z.clone()

    def refine() -> Tensor:  # as `RSAE.encode` does: over the activations that it has computed
        return refinement_steps.refine(fresh, x, decoder, "cg", 3, [], overwrite_z=True)

    work: dict[str, Callable[[], Tensor]] = {
        "encoder": lambda: x @ encoder,
        "decoder": lambda: z @ decoder,
        "refinement": refine,
    }
    if batched:
        # In bfloat16 the decoder takes the path of gathered rows.
        low = decoder.bfloat16()
        work["batched"] = lambda: refinement_steps.refine(z, x, low, "cg", 3, [])
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(repeats + 1):  # the first compiles and warms up
        for name, run in work.items():
            fresh.copy_(z)
            begin = time.process_time()
            run()
            if repeat:
                seconds[name].append(time.process_time() - begin)
    micro = {name: statistics.median(times) / n * 1e6 for name, times in seconds.items()}
    share = micro["refinement"] / micro["encoder"]
    both = micro["refinement"] / (micro["encoder"] + micro["decoder"])
    size = {"d_in": d_in, "d_sae": d_sae, "l0": l0, "tokens": n}
    return {**size, "microseconds": micro, "of_encoder": share, "of_both": both}


def problem(d_in: int, d_sae: int, l0: int, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs, activations, encoder and decoder, such that hardly an activation becomes negative."""
    g = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(d_sae, d_in, generator=g), dim=1)
    chosen = torch.rand(n, d_sae, generator=g).topk(l0, dim=1).indices
    best = torch.zeros(n, d_sae).scatter_(1, chosen, 0.5 + torch.rand(n, l0, generator=g))
    noise = 2 * torch.randn(n, d_in, generator=g) / d_in**0.5
    return best @ decoder + noise, 0.7 * best, torch.randn(d_in, d_sae, generator=g), decoder


def print_costs(costs: list[dict[str, Any]]) -> None:
    names = list(costs[0]["microseconds"])
    table = Table("size, L0, tokens", *(f"{name}, µs" for name in names), "of encoder", "of both")
    for one in costs:
        size = f"{one['d_in']} → {one['d_sae']}, {one['l0']}, {one['tokens']}"
        times = (f"{one['microseconds'][name]:.1f}" for name in names)
        table.add_row(size, *times, f"{one['of_encoder']:.2f}", f"{one['of_both']:.2f}")
    Console(width=110).print(table)


def gains(name: str, store: ActivationStore) -> dict[str, Any]:
    """[MSE, strict L0] on the held-out tokens by variant."""
    plain = as_rsae(name)
    hook = plain.cfg.metadata["hook_name"]
    x, calibration = store.split("heldout", hook).tensor(), store.split("calibration", hook)
    variants: dict[str, dict[str, Any]] = {}
    for k in range(1, 5):
        variants[f"cg {k}"] = {"steps": k}
    for k in range(1, 5):
        variants[f"minimax {k}"] = {"steps": k, "method": "minimax"}
    variants["exact"] = {"method": "exact"}
    variants["pursuit"] = {"pursuit": True}
    if plain.cfg.k is not None:
        variants["pursuit, exactly k"] = {"pursuit": True, "exact_k": True}
    found = {"SAE": measure(plain, x)}
    for variant, settings in variants.items():
        found[variant] = measure(rsae.refine(plain, calibration, **settings), x)
    return {variant: [one.mse, one.l0] for variant, one in found.items()}


def print_gains(gain: dict[str, dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for one in gain.values() for name in one))
    table = Table("variant", *gain)
    for name in names:
        cells = []
        for one in gain.values():
            if name not in one:
                cells.append("")
                continue
            mse, l0 = one[name]
            change = f"{100 * (mse / one['SAE'][0] - 1):+.1f} %" if name != "SAE" else f"{mse:.0f}"
            cells.append(f"{change}  L0 {l0:.2f}")
        table.add_row(name, *cells)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
