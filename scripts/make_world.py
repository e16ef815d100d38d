"""Make a synthetic world and train one SAE per family on it, with SAELens' own trainers.

Without flags it makes what rsae-evals packages::

    python scripts/make_world.py
    python scripts/make_world.py --seed 21 --teacher-seed 22 --out runs/world-21

The world's recipe is that of `rsae_evals.synthetic.make_world`, which is SynthSAEBench's
(arXiv 2602.14687) in small. Each SAE has 256 features and is trained for 2 000 steps of 512
samples, drawn with replacement in shuffled passes from 200 000, at a learning rate of 2e-3 that
falls to a tenth in the last quarter. Weights are stored in float16.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from rich.console import Console
from rich.table import Table
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    JumpReLUTrainingSAE,
    JumpReLUTrainingSAEConfig,
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
    StandardTrainingSAE,
    StandardTrainingSAEConfig,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
)
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import SAEMetadata, TrainingSAE
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import load_file
from torch import Tensor

from rsae.data import Activations
from rsae.files import save_safetensors
from rsae.pretrained import load_teacher
from rsae_evals import reconstruction
from rsae_evals.synthetic import load_world, make_world

PACKAGED = Path(__file__).resolve().parents[1] / "packages/evals/src/rsae_evals/synthetic/data"
FAMILIES = ("relu", "topk", "jumprelu", "batchtopk", "matryoshka")
D_SAE, STEPS, BATCH_SIZE, LR, SAMPLES, L0 = 256, 2000, 512, 2e-3, 200_000, 8


def main() -> None:
    """Make the world, train what is asked for, and print what each SAE is worth."""
    args = parse()
    make_world(args.seed).save(args.out)
    world = load_world(args.out)  # rounded to float16, as everybody will read it
    x, firing = world.sample(SAMPLES, seed=args.teacher_seed)
    heldout, _ = world.sample(8192, seed=args.teacher_seed + 1)
    console = Console()
    console.print(f"world {args.seed}: {firing.sum(1).float().mean():.2f} features per sample")
    table = Table("family", "strict L0", "MSE", "explained variance", "alive")
    for family in args.family:
        torch.manual_seed(args.teacher_seed)
        folder = args.out / "teachers" / family
        save(trained(untrained(family, args), x, args.teacher_seed), folder)
        found = reconstruction(load_teacher(folder), heldout)
        names = ("l0", "mse", "explained_variance", "frac_alive")
        table.add_row(family, *(f"{found[name]:.4g}" for name in names))
    console.print(table)
    size = sum(file.stat().st_size for file in args.out.rglob("*") if file.is_file())
    console.print(f"{size / 1e6:.2f} MB in {args.out}")


def parse() -> argparse.Namespace:
    """Read the flags; the defaults make the packaged world."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seed", type=int, default=5, help="of the world (%(default)s)")
    add("--teacher-seed", type=int, default=105, help="of the SAEs and their data (%(default)s)")
    add("--family", nargs="+", choices=FAMILIES, default=FAMILIES)
    add("--l1", type=float, default=3.0, help="L1 coefficient of relu (%(default)s)")
    add("--out", type=Path, default=PACKAGED)
    return parser.parse_args()


def untrained(family: str, args: argparse.Namespace) -> TrainingSAE:
    """A fresh SAE of the family, about as sparse as the world."""
    metadata = SAEMetadata(world_seed=args.seed, teacher_seed=args.teacher_seed)
    common = {"d_in": 128, "d_sae": D_SAE, "metadata": metadata}
    if family == "relu":
        return StandardTrainingSAE(
            StandardTrainingSAEConfig(l1_coefficient=args.l1, l1_warm_up_steps=STEPS // 2, **common)
        )
    if family == "jumprelu":
        return JumpReLUTrainingSAE(
            JumpReLUTrainingSAEConfig(
                jumprelu_sparsity_loss_mode="quadratic",
                target_l0=L0,
                l0_coefficient=2.0,
                l0_warm_up_steps=STEPS // 2,
                jumprelu_init_threshold=0.3,
                jumprelu_bandwidth=0.5,
                **common,
            )
        )
    if family == "topk":
        return TopKTrainingSAE(TopKTrainingSAEConfig(k=L0, **common))
    if family == "batchtopk":
        return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=L0, **common))
    config = MatryoshkaBatchTopKTrainingSAEConfig(
        k=L0, matryoshka_widths=[8, 32, 128, D_SAE], **common
    )
    return MatryoshkaBatchTopKTrainingSAE(config)


def trained(sae: TrainingSAE, x: Tensor, seed: int) -> TrainingSAE:
    """Run SAELens' trainer on the samples."""
    batches = Activations.from_tensor(x).batches(BATCH_SIZE, seed=seed, epochs=None)
    trainer = SAETrainer(
        cfg=SAETrainerConfig(
            total_training_samples=STEPS * BATCH_SIZE,
            train_batch_size_samples=BATCH_SIZE,
            lr=LR,
            lr_end=LR / 10,
            lr_warm_up_steps=STEPS // 20,
            lr_decay_steps=STEPS // 4,
            dead_feature_window=200,
        ),
        sae=sae,
        data_provider=(batch for batch in batches if len(batch) == BATCH_SIZE),
    )
    return trainer.fit()


def save(sae: TrainingSAE, folder: Path) -> None:
    """SAELens' own files, with the tensors in float16."""
    weights, _ = sae.save_inference_model(folder)
    tensors = load_file(weights)
    save_safetensors(Path(weights), {name: t.half().contiguous() for name, t in tensors.items()})


if __name__ == "__main__":
    main()
