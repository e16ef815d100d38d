"""Our figures beside those of SAELens' `run_evals` on the same SAE and the same tokens.

python benchmarks/evals/saelens_table.py            a small random model, seconds
python benchmarks/evals/saelens_table.py --demo     demo:jumprelu on its own host, minutes
"""

import argparse
import sys
from pathlib import Path

import torch
from sae_lens.evals import get_eval_everything_config, run_evals
from sae_lens.training.activation_scaler import ActivationScaler

from rsae_evals import downstream, reconstruction

sys.path.insert(0, str(Path(__file__).parent))
from peers import FrozenStore, HookedHost, small_model, small_sae, small_tokens

# What differs, and why. "equal" means to the rounding of float32.
EXPLAINED = {
    "mse": "equal",
    "explained_variance": "equal",
    "l0": "equal",
    "l1": "equal",
    "cossim": "equal",
    "l2_ratio": "equal",
    "relative_reconstruction_bias": "theirs averages the ratio of each batch; ours is one ratio",
    "ce_loss_without_sae": "equal where no special token is predicted (ours leaves those out)",
    "ce_loss_with_sae": "equal where no special token is predicted (ours leaves those out)",
    "ce_loss_with_ablation": "theirs zeroes special tokens too; ours leaves their residual alone",
    "ce_loss_score": "follows from the ablation",
    "kl_div_with_sae": "theirs counts the last position too, which predicts no token of the text",
    "feature_density (mean)": "equal",
}


def table(sae, model, host, tokens, hook_name, batch=8):
    """(name, theirs, ours) for every metric that both have."""
    store = FrozenStore(tokens.ids, batch)
    n_batches = len(tokens.ids) // batch
    scalars, features = run_evals(
        sae, store, model, ActivationScaler(),
        get_eval_everything_config(batch, n_batches, n_batches),
        exclude_special_tokens=list(host.special_token_ids),
    )  # fmt: skip
    theirs = {k: v for group in scalars.values() for k, v in group.items()}
    theirs["feature_density (mean)"] = float(torch.tensor(features["feature_density"]).mean())
    x = torch.cat([host.residual(ids, hook_name) for ids in tokens.ids.split(batch)])
    ours = reconstruction(sae, x[~tokens.special])
    ours["feature_density (mean)"] = float(ours["feature_density"].mean())
    ours |= downstream(sae, host, tokens, hook_name).metrics()
    return [(name, theirs[name], ours[name]) for name in EXPLAINED]


def small():
    model, tokens = small_model(), small_tokens()
    hook_name = "blocks.0.hook_resid_post"
    host = HookedHost(model, (0, 1))
    x = host.residual(tokens.ids, hook_name)[~tokens.special]
    return small_sae(x, hook_name), model, host, tokens, hook_name


def demo(n_sequences=32):
    from sae_lens import SAE

    from rsae.data.text import Tokens, documents, split, tokenize
    from rsae.language_model.host import load_host
    from rsae.pretrained import load_teacher

    host = load_host()
    found = tokenize(host, split(documents())[1])
    whole = (found.ids != host.pad_token_id)[:, 1:].all(dim=1)  # SAELens has no padding
    ids = found.ids[whole][:n_sequences]
    plain = HookedHost(host.bridge, host.special_token_ids)  # like theirs, goes by the id alone
    tokens = Tokens(ids, plain.is_special(ids), found.document[whole][:n_sequences])
    sae = SAE.load_from_disk(Path(load_teacher("demo:jumprelu").source).parent)
    return sae, host.bridge, plain, tokens, sae.cfg.metadata.hook_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true")
    rows = table(*(demo() if parser.parse_args().demo else small()))
    print(f"{'metric':30s} {'SAELens':>12s} {'ours':>12s} {'rel. diff.':>10s}  difference")
    for name, theirs, ours in rows:
        relative = abs(ours - theirs) / abs(theirs)
        print(f"{name:30s} {theirs:12.6g} {ours:12.6g} {relative:10.1e}  {EXPLAINED[name]}")


if __name__ == "__main__":
    main()
