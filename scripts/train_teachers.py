"""Train small teacher SAEs with SAELens' own trainers, on a host's residual stream.

Without flags it makes the three that the package ships (``make teachers``)::

    python scripts/train_teachers.py
    python scripts/train_teachers.py --model gemma3-270m --hook blocks.9.hook_resid_post \
        --out runs/t

A teacher that is already there with the same settings is left as it is, and the harvested
activations are kept, so the command goes on where it was stopped.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    JumpReLUTrainingSAE,
    JumpReLUTrainingSAEConfig,
    StandardTrainingSAE,
    StandardTrainingSAEConfig,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
)
from sae_lens import __version__ as sae_lens_version
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import SAEMetadata, TrainingSAE
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import load_file
from torch import Tensor

from rsae.data import Activations, ActivationStore, harvest
from rsae.data.text import documents, split, tokenize
from rsae.files import read_json, save_safetensors, write_json
from rsae.language_model.host import load_host
from rsae.language_model.names import PACKAGED
from rsae.pretrained import load_teacher
from rsae.pretrained.metadata import write_sketches
from rsae_evals import reconstruction

FAMILIES = ("relu", "jumprelu", "topk")  # that the package ships
DEMO = Path(__file__).resolve().parents[1] / "packages/rsae/src/rsae/demo/teachers"


@dataclass(frozen=True)
class Settings:
    """What a teacher is made with; recorded in its ``cfg.json``.

    The sparsity coefficients are in the units of activations scaled to mean norm sqrt(d_in).
    """

    host: str
    hook_name: str
    family: str
    d_sae: int
    l0: int
    l1_coefficient: float
    steps: int
    batch_size: int
    lr: float
    seed: int
    context_size: int
    tokens_sha256: str


def main() -> None:
    """Train what is missing and say in a table what there is."""
    args = parse()
    console = Console(stderr=True)
    store = stored_activations(args, console)
    table = Table("teacher", "strict l0", "explained variance", "mse", "alive", "MB")
    for hook_name in args.hook:
        train = store.split("train", hook_name)
        heldout = store.split("heldout", hook_name)
        for family in args.family:
            settings = Settings(
                args.model, hook_name, family, args.d_sae, args.l0, args.l1, args.steps,
                args.batch_size, args.lr, args.seed, args.context_size,
                store.tokens("train").sha256,
            )  # fmt: skip
            folder = args.out / (family if len(args.hook) == 1 else f"{hook_name}-{family}")
            if made_with(folder) != asdict(settings):
                console.print(f"training {folder.name}: {settings.steps} steps")
                save(trained(settings, train), settings, folder, store.tokens("train").sketch())
            found = reconstruction(load_teacher(folder), heldout)
            table.add_row(
                folder.name,
                f"{found['l0']:.2f}",
                f"{found['explained_variance']:.4f}",
                f"{found['mse']:.4g}",
                f"{found['frac_alive']:.3f}",
                f"{sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.2f}",
            )
    Console().print(table)


def parse() -> argparse.Namespace:
    """Read the flags; the defaults make the packaged teachers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="smollm2")
    add("--hook", nargs="+", default=["blocks.12.hook_resid_post"])
    add("--family", nargs="+", choices=(*FAMILIES, "batchtopk"), default=FAMILIES)
    add("--d-sae", type=int, default=1024)
    add("--l0", type=int, default=48, help="k of TopK, and what JumpReLU is held at (%(default)s)")
    add("--l1", type=float, default=1.0, help="L1 coefficient of ReLU (%(default)s)")
    add("--steps", type=int, default=1200)
    add("--batch-size", type=int, default=512)
    add("--lr", type=float, default=2e-3)
    add("--seed", type=int, default=0)
    add("--context-size", type=int, default=128)
    add("--tokens", type=int, help="tokens to train on; by default all of the training documents")
    add("--text", type=Path, help="by default the packaged text")
    add("--store", type=Path, default=Path("runs/teacher-activations"))
    add("--out", type=Path, default=DEMO)
    return parser.parse_args()


def stored_activations(args: argparse.Namespace, console: Console) -> ActivationStore:
    """Harvest the training and held-out documents, or what of them is missing."""
    host = load_host(args.model)
    train, heldout = (
        tokenize(host, part, args.context_size) for part in split(documents(args.text))
    )
    train = train.sample(min(args.tokens or train.n_tokens, train.n_tokens))
    console.print(f"{train.n_tokens:,} + {heldout.n_tokens:,} tokens, kept in {args.store}")
    wanted = {"train": train, "heldout": heldout}
    return harvest(host, wanted, args.hook, args.store)


def trained(settings: Settings, activations: Activations) -> TrainingSAE:
    """Run SAELens' trainer; the activations' scale is folded into the weights at the end."""
    torch.manual_seed(settings.seed)
    sae = untrained(settings, activations.d_in)
    x = activations.tensor()
    scale = activations.d_in**0.5 / x.norm(dim=1).mean()
    # The decoder's bias starts at the mean, which is most of a residual stream.
    sae.b_dec.data = x.mean(dim=0) * scale
    trainer = SAETrainer(
        cfg=SAETrainerConfig(
            total_training_samples=settings.steps * settings.batch_size,
            train_batch_size_samples=settings.batch_size,
            lr=settings.lr,
            lr_end=settings.lr / 10,
            lr_warm_up_steps=settings.steps // 20,
            lr_decay_steps=settings.steps // 4,
            dead_feature_window=200,
            n_batches_for_norm_estimate=64,
        ),
        sae=sae,
        data_provider=full_batches(activations, settings),
    )
    return trainer.fit()


def full_batches(activations: Activations, settings: Settings) -> Iterator[Tensor]:
    """Shuffled batches without end, all of one size."""
    batches = activations.batches(settings.batch_size, seed=settings.seed, epochs=None)
    return (batch for batch in batches if len(batch) == settings.batch_size)


def untrained(settings: Settings, d_in: int) -> TrainingSAE:
    """A fresh SAE of the family, by SAELens."""
    common = {
        "d_in": d_in,
        "d_sae": settings.d_sae,
        "normalize_activations": "expected_average_only_in",
        "metadata": SAEMetadata(
            model_name=settings.host,
            hook_name=settings.hook_name,
            context_size=settings.context_size,
            prepend_bos=True,
            exclude_special_tokens=True,
        ),
    }
    warm_up = settings.steps // 2
    if settings.family == "relu":
        cfg = StandardTrainingSAEConfig(
            l1_coefficient=settings.l1_coefficient, l1_warm_up_steps=warm_up, **common
        )
        return StandardTrainingSAE(cfg)
    if settings.family == "jumprelu":
        cfg = JumpReLUTrainingSAEConfig(
            jumprelu_sparsity_loss_mode="quadratic",
            target_l0=settings.l0,
            l0_coefficient=2.0,
            l0_warm_up_steps=warm_up,
            jumprelu_init_threshold=0.3,
            jumprelu_bandwidth=0.5,
            **common,
        )
        return JumpReLUTrainingSAE(cfg)
    if settings.family == "batchtopk":
        return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=settings.l0, **common))
    return TopKTrainingSAE(TopKTrainingSAEConfig(k=settings.l0, **common))


def save(sae: TrainingSAE, settings: Settings, folder: Path, sketch: str) -> None:
    """Write SAELens' own files, with the tensors in fp16 and a sketch of the training text."""
    weights, cfg = sae.save_inference_model(folder)
    tensors = load_file(weights)
    save_safetensors(Path(weights), {name: x.half().contiguous() for name, x in tensors.items()})
    content = read_json(Path(cfg))
    content["metadata"] |= {
        "sae_lens_version": sae_lens_version,
        "model_name": PACKAGED.get(settings.host, settings.host),
        "training_settings": asdict(settings),
        "training_tokens_sha256": settings.tokens_sha256,
        "training_sketches": [sketch],
    }
    if settings.host in PACKAGED:
        content["metadata"] |= {"model_weights": settings.host, "license": "mit"}
    content["metadata"] = write_sketches(folder, content["metadata"])
    write_json(Path(cfg), content)


def made_with(folder: Path) -> dict | None:
    """The settings of the teacher in ``folder``; None where there is none."""
    cfg = folder / "cfg.json"
    if not cfg.is_file():
        return None
    return read_json(cfg)["metadata"].get("training_settings")


if __name__ == "__main__":
    main()
