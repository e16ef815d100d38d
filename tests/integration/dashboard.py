"""SAEDashboard and Neuronpedia's runner read a plain export, with the package sae-dashboard.

sae-dashboard 0.8 needs transformers below 4.57 and TransformerLens 2, rsae newer ones, so that the
two cannot be installed together. ``python tests/integration/dashboard.py export FOLDER`` writes an
export with rsae, ``… check FOLDER`` loads it in the environment of sae-dashboard; ``nox -s
dashboard`` does both. The model is a small random one, since no hub can be reached.
"""

import json
import os
import sys
import types
from pathlib import Path

import torch

HOOK, D_IN, D_SAE, CONTEXT, PROMPTS = "blocks.0.hook_resid_post", 12, 40, 16, 64
WORDS = [f"w{i}" for i in range(60)]


def export(folder: Path) -> None:
    """A plain SAE of an RSAE with a curved activation, and what rsae says of its activations."""
    from rsae import RSAE, RationalActivation, Teacher, refine
    from rsae.data import Activations
    from rsae.sae.export import export_jumprelu

    g = torch.Generator().manual_seed(0)
    teacher = Teacher(
        "jumprelu",
        torch.randn(D_IN, D_SAE, generator=g) / D_IN**0.5,
        0.1 * torch.randn(D_SAE, generator=g),
        torch.randn(D_SAE, D_IN, generator=g) / D_IN**0.5,
        torch.zeros(D_IN),
        threshold=torch.rand(D_SAE, generator=g),
        metadata={"hook_name": HOOK, "model_name": "a-model", "context_size": CONTEXT},
    )
    sae = RSAE.from_teacher(teacher, RationalActivation([[2.0, 0.3, 0.2]], [[1.0]]))
    x = 2 * torch.randn(400, D_IN, generator=g)
    export_jumprelu(refine(sae), Activations.from_tensor(x)).save(folder / "plain")
    from sae_lens import SAE

    plain = SAE.load_from_disk(folder / "plain")
    torch.save({"x": x, "z": plain.encode(x).detach() * plain.W_dec.norm(dim=1)}, folder / "z.pt")


def model(folder: Path):
    """A transformer of random weights with a tokenizer of sixty words, kept in the folder."""
    from sae_lens import HookedSAETransformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformer_lens import HookedTransformerConfig
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    names = ["<bos>", "<eos>", "<pad>", *WORDS]
    words = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, "<pad>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )
    made.save_pretrained(folder / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    config = HookedTransformerConfig(
        n_layers=1, d_model=D_IN, n_ctx=CONTEXT, d_head=6, n_heads=2, d_mlp=24,
        d_vocab=len(names), act_fn="gelu", seed=0, model_name="a-model",
    )  # fmt: skip
    found = HookedSAETransformer(config, tokenizer)
    for name, weight in found.named_parameters():
        if name in ("embed.W_E", "pos_embed.W_pos"):  # activations of the size that was exported
            g = torch.Generator().manual_seed(1)
            weight.data = 1.5 * torch.randn(weight.shape, generator=g)
    return found.eval()


def expected(host, sae, tokens: torch.Tensor) -> torch.Tensor:
    """Activations of the export on the model's own, per unit of decoder norm, (n, d_sae)."""
    _, cache = host.run_with_cache(tokens, names_filter=HOOK)
    return (sae.encode(cache[HOOK]) * sae.W_dec.norm(dim=1)).flatten(0, 1).detach()


def check(folder: Path) -> None:
    """Both programs load the export, and their numbers are those of its `encode`."""
    from sae_dashboard.data_writing_fns import save_feature_centric_vis
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner
    from sae_lens import SAE

    given = torch.load(folder / "z.pt")
    sae = SAE.load_from_disk(folder / "plain")
    torch.testing.assert_close(sae.encode(given["x"]) * sae.W_dec.norm(dim=1), given["z"])
    host = model(folder)
    tokens = torch.randint(3, len(WORDS) + 3, (PROMPTS, CONTEXT), generator=torch.Generator())
    z = expected(host, sae, tokens)
    config = SaeVisConfig(hook_point=HOOK, features=range(D_SAE))
    found = SaeVisRunner(config).run(sae, host, tokens)
    assert list(found.feature_data_dict) == list(range(D_SAE))
    torch.testing.assert_close(
        torch.tensor(found.feature_stats.max), z.max(dim=0).values.double(),
        rtol=1e-3, atol=2e-3, check_dtype=False,
    )  # fmt: skip
    found.model = host
    save_feature_centric_vis(found, folder / "dashboard.html")
    assert (folder / "dashboard.html").stat().st_size > 10_000
    print(f"SAEDashboard: {D_SAE} features, {int((z > 0).any(dim=0).sum())} of them fire")
    neuronpedia(folder, host)


def neuronpedia(folder: Path, host) -> None:
    """Neuronpedia's runner; its model and its texts would come from a hub."""
    from sae_dashboard.neuronpedia import neuronpedia_runner as runner
    from sae_lens import SAE

    g = torch.Generator().manual_seed(5)
    rows = [
        {"text": " ".join(WORDS[int(i)] for i in torch.randint(0, 60, (40,), generator=g))}
        for _ in range(400)
    ]
    texts = folder / "texts"
    texts.mkdir(exist_ok=True)
    (texts / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    runner.HookedSAETransformer = types.SimpleNamespace(from_pretrained=lambda **_: host)
    os.chdir(folder)
    config = runner.NeuronpediaRunnerConfig(
        sae_set="rsae", sae_path="plain", outputs_dir="neuronpedia", from_local_sae=True,
        huggingface_dataset_path="texts", n_prompts_total=PROMPTS, n_tokens_in_prompt=CONTEXT,
        n_prompts_in_forward_pass=8, n_features_at_a_time=D_SAE, shuffle_tokens=False,
    )  # fmt: skip
    made = runner.NeuronpediaRunner(config)
    made.run()
    (batch,) = Path(made.cfg.outputs_dir).glob("batch-*.json")
    features = json.loads(batch.read_text())["features"]
    tokens = torch.load(next(Path(made.cfg.outputs_dir).glob("tokens_*.pt")))
    z = expected(host, SAE.load_from_disk("plain"), tokens)
    z[tokens.flatten() < 3] = 0  # special tokens count as zeros there
    assert len(features) == D_SAE
    for feature in features:
        share = (z[:, int(feature["feature_index"])] > 0).float().mean().item()
        assert abs(feature["frac_nonzero"] - share) < 2e-3, (feature["frac_nonzero"], share)
    print(f"Neuronpedia: {len(features)} features in {batch}")


if __name__ == "__main__":
    command, where = sys.argv[1:]
    {"export": export, "check": check}[command](Path(where).resolve())
