"""One upgrade from text to report on a stream: estimated before it begins, then measured.

    OMP_NUM_THREADS=1 python -m benchmarks.rsae.whole 576,1024,1024 --steps 20

The size is (d_in, d_sae, tokens per batch). The language model has random weights, two layers of
width d_in, and the SAE reads the first; its thresholds give an L0 of 64. All is prepared by another
process, so that the peak memory is that of the upgrade. Seconds are those of the CPU, all threads
together, from the start of Python to the end of the report; the estimate is made of rates that are
measured in CPU seconds too. The waiting share is of time on the clock: of the pass of training, the
part in which the next activations were not there yet. The rates of the stages, in tokens per CPU
second, are measured before, in a process of their own.
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

L0 = 64
CONTEXT = 128
HOOK = "blocks.0.hook_resid_post"
WORDS = [f"w{i}" for i in range(4000)]
DOCUMENTS, LENGTH = 60, 3500  # words; a tenth is held out
TOKENS = 20_000  # of one pass of the stream
CALIBRATION = 4_000  # the fewest that a pursuit takes


def prepare(folder: Path, d_in: int, d_sae: int) -> None:
    """Write a language model, a text and an SAE into a folder."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<unk>", *WORDS]
    known = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "model")
    heads = max(1, d_in // 64)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=d_in, intermediate_size=2 * d_in, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=512,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder / "model")
    rng = random.Random(0)
    lines = [{"text": " ".join(rng.choices(WORDS, k=LENGTH))} for _ in range(DOCUMENTS)]
    (folder / "text.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ids = torch.randint(3, len(words), (16, CONTEXT))
    with torch.no_grad():
        x = model.model(ids, output_hidden_states=True).hidden_states[1][:, 8:].flatten(0, 1)
        W_dec = torch.nn.functional.normalize(torch.randn(d_sae, d_in), dim=1)
        h = (x - x.mean(0))[::8] @ W_dec.T
    cut = h.flatten().kthvalue(int(h.numel() * (1 - L0 / d_sae))).values.item()
    sae = folder / "sae"
    sae.mkdir()
    save_file(
        {
            "W_enc": W_dec.T.contiguous(), "b_enc": torch.zeros(d_sae), "W_dec": W_dec,
            "b_dec": x.mean(0), "threshold": torch.full((d_sae,), cut),
        },
        sae / "sae_weights.safetensors",
    )  # fmt: skip
    settings = {
        "architecture": "jumprelu", "d_in": d_in, "d_sae": d_sae, "dtype": "float32",
        "device": "cpu", "apply_b_dec_to_input": True, "normalize_activations": "none",
        "metadata": {"hook_name": HOOK, "context_size": CONTEXT},
    }  # fmt: skip
    (sae / "cfg.json").write_text(json.dumps(settings))


def stages(folder: Path) -> dict[str, float]:
    """Tokens per CPU second of the stages beside training."""
    from rsae import load_host, load_teacher
    from rsae.data.harvesting import activations_at
    from rsae.data.splits import token_splits
    from rsae.upgrading import RationalConfig, fit_rational
    from rsae.upgrading.calibrate import calibrate
    from rsae_evals import downstream, reconstruction

    host = load_host(folder / "model")
    heldout = token_splits(host, folder / "text.jsonl", 2000, CONTEXT)["heldout"]
    rates = {}

    def timed(name: str, n: int, work: Any) -> Any:
        begin = time.process_time()
        result = work()
        rates[name] = n / (time.process_time() - begin)
        return result

    ids, n = heldout.ids, heldout.n_tokens
    activations_at(host, ids[:8], ~heldout.special[:8], (HOOK,), 8)  # warms up
    x = timed("harvest", n, lambda: activations_at(host, ids, ~heldout.special, (HOOK,), 8))[HOOK]
    teacher, fit = load_teacher(folder / "sae"), fit_rational(RationalConfig())
    sae = calibrate(teacher, fit, x[:256])
    timed("calibrate", len(x), lambda: calibrate(teacher, fit, x))
    timed("reconstruct", len(x), lambda: reconstruction(sae, x))
    timed("splice", n, lambda: downstream(sae, host, heldout, HOOK))
    return rates


def run(folder: Path, batch: int, steps: int, keep: str) -> dict[str, Any]:
    """Estimate and do the upgrade; both as seconds of the CPU and GiB."""
    import torch

    from rsae import UpgradeConfig, load_teacher
    from rsae.language_model.shape import model_shape
    from rsae.train import TrainConfig
    from rsae.upgrading.estimate import Work, estimate, peak_memory_gib
    from rsae.upgrading.rates import measure_rates
    from rsae_cli import main as rsae

    text, out, settings = folder / "text.jsonl", folder / "out", folder / "settings.toml"
    settings.write_text(f"calibration_tokens = {CALIBRATION}\n[train]\nbatch_size = {batch}\n")
    begin = time.process_time()
    estimated = estimate(
        load_teacher(folder / "sae"),
        UpgradeConfig(
            keep=keep,  # type: ignore[arg-type]
            only="rsae",
            train=TrainConfig(steps=steps, batch_size=batch),
            calibration_tokens=CALIBRATION,
        ),
        Work(HOOK, TOKENS, CONTEXT, streamed=True, text_bytes=text.stat().st_size),
        model_shape(folder / "model"),
        measure_rates(torch.device("cpu"), clock=time.process_time),
    )
    spent = time.process_time() - begin
    flags = [
        "--model", folder / "model", "--text", text, "--out", out, "--config", settings,
        "--tokens", TOKENS, "--steps", steps, "--keep", keep, "--only", "rsae",
        "--device", "cpu", "--stream", "--json",
    ]  # fmt: skip
    with contextlib.redirect_stdout(sys.stderr):
        code = rsae(["upgrade", str(folder / "sae"), *map(str, flags)])
    if code not in (0, 3):
        raise SystemExit(f"rsae upgrade ended with {code}")
    done = json.loads((out / "summary.json").read_text())
    return {
        "estimated": {"seconds": estimated["total_seconds"], "gib": estimated["peak_memory_gib"]},
        "measured": {"seconds": time.process_time() - spent, "gib": peak_memory_gib()},
        "stages_estimated": estimated["seconds"],
        "waiting_share": done.get("stream", {}).get("waiting_share"),
    }


def measured(size: str, steps: int, keep: str = "nothing") -> dict[str, Any]:
    """What `stages` and `run` find, each in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        common = [sys.executable, "-m", "benchmarks.rsae.whole", size, "--folder", folder]
        _child([*common, "--part", "prepare"])
        rates = _child([*common, "--part", "stages"])
        found = _child([*common, "--part", "run", "--steps", str(steps), "--keep", keep])
        return {"tokens_per_second": rates, **found}


def _child(command: list[str]) -> Any:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", metavar="D_IN,D_SAE,TOKENS")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--keep", default="nothing")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=["prepare", "stages", "run"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    d_in, d_sae, batch = map(int, args.size.split(","))
    if args.part == "prepare":
        prepare(args.folder, d_in, d_sae)
        print(json.dumps({}))
    elif args.part == "stages":
        print(json.dumps(stages(args.folder)))
    elif args.part == "run":
        print(json.dumps(run(args.folder, batch, args.steps, args.keep)))
    else:
        print(json.dumps(measured(args.size, args.steps, args.keep), indent=1))


if __name__ == "__main__":
    main()
