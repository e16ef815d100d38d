"""SAEBench's own core evaluation on our adapter, beside our figures, on the same tokens.

Needs an environment of its own, for SAEBench 0.6 pins numpy < 2:

    python -m venv saebench && saebench/bin/pip install sae-bench==0.6.0 "transformer-lens<4"
    PYTHONPATH=packages/remez/src:packages/rsae/src:packages/evals/src \
        saebench/bin/python benchmarks/evals/saebench_core.py
"""

import json
import sys
from pathlib import Path

import torch

try:
    from sae_bench.evals.core.eval_config import CoreEvalConfig
    from sae_bench.evals.core.main import run_evals
    from sae_bench.sae_bench_utils.general_utils import load_and_format_sae
except ImportError as cause:
    raise SystemExit(f"SAEBench is not installed here ({cause}): see this file's top") from cause

from rsae import RSAE, RationalActivation
from rsae.pretrained import Teacher
from rsae_evals import downstream, reconstruction
from rsae_evals.integrations.saebench import SAEBenchCoder

sys.path.insert(0, str(Path(__file__).parent))
from peers import FrozenStore, HookedHost, small_model, small_sae, small_tokens

HOOK = "blocks.0.hook_resid_post"

# What differs, and why. "equal" means to the rounding of float32.
EXPLAINED = {
    "mse": "theirs divides each batch's errors once more by its number of tokens",
    "explained_variance": "theirs takes E x² for (E x)² in the denominator, and one number for d",
    "l0": "equal",
    "l1": "equal up to decoder norms, which SAEBench wants at 1 (ours: mean n_j |z_j|)",
    "cossim": "equal",
    "l2_ratio": "equal",
    "relative_reconstruction_bias": "theirs averages the ratio of each batch; ours is one ratio",
    "ce_loss_without_sae": "equal",
    "ce_loss_with_sae": "equal, with exclude_special_tokens_from_reconstruction",
    "ce_loss_with_ablation": "theirs zeroes special tokens too; ours leaves their residual alone",
    "ce_loss_score": "follows from the ablation",
    "kl_div_with_sae": "theirs counts the last position too, which predicts no token of the text",
    "feature_density (mean)": "equal (theirs counts z > 0, ours z ≠ 0)",
}


def table(batch=8):
    """(name, theirs, ours) for every metric that both have, on an RSAE made from a small SAE."""
    model, tokens = small_model(), small_tokens()
    host = HookedHost(model, (0, 1))
    x = host.residual(tokens.ids, HOOK)[~tokens.special]
    sae = small_sae(x, HOOK)
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    teacher = Teacher("jumprelu", **{n: getattr(sae, n).detach().clone() for n in names})
    rsae = RSAE.from_teacher(teacher, RationalActivation.constant((3, 2), input_scale=100.0))
    adapter = SAEBenchCoder(rsae, "small", HOOK, context_size=tokens.context_size)
    _, variant, _ = load_and_format_sae("mine", adapter, "cpu")
    config = CoreEvalConfig(
        batch_size_prompts=batch,
        n_eval_reconstruction_batches=len(tokens.ids) // batch,
        n_eval_sparsity_variance_batches=len(tokens.ids) // batch,
        compute_kl=True, compute_ce_loss=True, compute_l2_norms=True,
        compute_sparsity_metrics=True, compute_variance_metrics=True,
        compute_featurewise_density_statistics=True,
        compute_featurewise_weight_based_metrics=True,
        exclude_special_tokens_from_reconstruction=True,
    )  # fmt: skip
    store = FrozenStore(tokens.ids, batch)
    scalars, features = run_evals(
        variant.to(device="cpu", dtype=torch.float32), store, model, config, ignore_tokens={0, 1}
    )
    theirs = {k: v for group in scalars.values() for k, v in group.items()}
    theirs["feature_density (mean)"] = float(torch.tensor(features["feature_density"]).mean())
    ours = reconstruction(adapter, x)
    ours["feature_density (mean)"] = float(ours["feature_density"].mean())
    ours |= downstream(rsae, host, tokens, HOOK).metrics()
    return [(name, theirs[name], ours[name]) for name in EXPLAINED]


def main() -> None:
    rows = table()
    if "--json" in sys.argv:
        print(json.dumps({name: [theirs, ours] for name, theirs, ours in rows}))
        return
    print(f"{'metric':30s} {'SAEBench':>12s} {'ours':>12s} {'rel. diff.':>10s}  difference")
    for name, theirs, ours in rows:
        relative = abs(ours - theirs) / abs(theirs)
        print(f"{name:30s} {theirs:12.6g} {ours:12.6g} {relative:10.1e}  {EXPLAINED[name]}")


if __name__ == "__main__":
    main()
