"""A synthetic world: activations that are sparse sums of known feature vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from sae_lens.synthetic import (
    FeatureDictionary,
    FoldedNormalMagnitudeConfig,
    Hierarchy,
    HierarchyConfig,
    LinearMagnitudeConfig,
    LowRankCorrelationConfig,
    LowRankCorrelationMatrix,
    OrthogonalizationConfig,
    SyntheticModel,
    SyntheticModelConfig,
    ZipfianFiringProbabilityConfig,
)
from torch import Tensor

from rsae.errors import CorruptFileError
from rsae.files import load_safetensors, make_folder, read_json, save_safetensors, write_json
from rsae.pretrained import Teacher, load_teacher
from rsae_evals.errors import EvaluationError

__all__ = ["World", "load_world", "make_world"]

_TENSORS, _RECIPE, _TEACHERS = "world.safetensors", "world.json", "teachers"
_AT_ONCE = 4096  # samples drawn at a time: 16 MiB of feature activations


@dataclass(frozen=True, eq=False)
class World:
    """Known features, and the distribution of their activations.

    Attributes:
        model: SAELens' generator.
        folder: where its trained SAEs are, or None.

    Example:
        >>> from rsae_evals.synthetic import load_world
        >>> world = load_world()
        >>> x, firing = world.sample(4, seed=1)
        >>> tuple(x.shape), tuple(firing.shape)
        ((4, 128), (4, 1024))
    """

    model: SyntheticModel
    folder: Path | None = None

    @property
    def features(self) -> Tensor:
        """The true feature vectors, (n_features, d_in)."""
        return self.model.feature_dict.feature_vectors.detach()

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the SAEs that were trained on this world, in alphabetical order."""
        if self.folder is None or not (self.folder / _TEACHERS).is_dir():
            return ()
        folders = (self.folder / _TEACHERS).iterdir()
        return tuple(sorted(f.name for f in folders if (f / "cfg.json").is_file()))

    def teacher(self, family: str) -> Teacher:
        """The SAE of that name that was trained on this world.

        Raises:
            EvaluationError: there is none.
        """
        if self.folder is None or family not in self.families:
            known = ", ".join(self.families) or "none"
            raise EvaluationError(f"this world has no SAE called {family}; it has: {known}")
        return load_teacher(self.folder / _TEACHERS / family)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Draw activations and what made them.

        Args:
            n: Number of samples.
            seed: Random seed. The same seed gives the same samples, and PyTorch's global random
                state is left as it was.

        Returns:
            Activations (n, d_in) in float32, and which features fire, (n, n_features) bool.
        """
        activations, firing = [], []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for start in range(0, n, _AT_ONCE):
                x, z = self.model.sample_with_features(min(_AT_ONCE, n - start))
                activations.append(x)
                firing.append(z > 0)
        return torch.cat(activations), torch.cat(firing)

    def save(self, folder: Path) -> Path:
        """Write the world into a folder: feature vectors and correlations in float16."""
        model = self.model
        generator, correlation = model.activation_generator, model.correlation_matrix
        assert correlation is not None
        assert model.hierarchy is not None
        make_folder(folder)
        tensors = {
            "feature_vectors": model.feature_dict.feature_vectors.detach().half(),
            "bias": model.feature_dict.bias.detach().half(),
            "correlation_factor": correlation.correlation_factor.half(),
            "correlation_diagonal": correlation.correlation_diag,
            "firing_probabilities": generator.firing_probabilities,
            "mean_magnitudes": generator.mean_firing_magnitudes,
            "magnitude_deviations": generator.std_firing_magnitudes,
        }
        save_safetensors(folder / _TENSORS, {k: t.contiguous() for k, t in tensors.items()})
        write_json(
            folder / _RECIPE,
            {"config": model.cfg.to_dict(), "hierarchy": model.hierarchy.to_dict()},
        )
        return folder


def make_world(seed: int) -> World:
    """A new world with the proportions of SynthSAEBench-16k, small enough for one core.

    1 024 features in 128 dimensions, Zipf firing (exponent 0.5, probabilities from 0.4 to 2e-3),
    8 trees of branching 4 and depth 3 with mutually exclusive children scaled by their parents
    and compensated probabilities, correlations of rank 25 and scale 0.1, mean magnitudes from 5
    to 4, deviations |N(0.5, 0.5²)|, 50 steps of orthogonalisation, a bias of norm 0.5. Of the
    benchmark's recipe (16 384 features in 768 dimensions, 128 trees, least probability 5e-4, 100
    steps) these are the proportions that keep features rare and superposed at this size.

    Args:
        seed: Seed of everything that is random in it.

    References:
        SynthSAEBench, arXiv 2602.14687; `sae_lens.synthetic` of SAELens 6.54.
    """
    config = SyntheticModelConfig(
        num_features=1024,
        hidden_dim=128,
        firing_probability=ZipfianFiringProbabilityConfig(
            exponent=0.5, max_prob=0.4, min_prob=2e-3
        ),
        hierarchy=HierarchyConfig(
            total_root_nodes=8,
            branching_factor=4,
            max_depth=3,
            mutually_exclusive_portion=1.0,
            compensate_probabilities=True,
            scale_children_by_parent=True,
        ),
        orthogonalization=OrthogonalizationConfig(num_steps=50, lr=1e-3),
        correlation=LowRankCorrelationConfig(rank=25, correlation_scale=0.1),
        mean_firing_magnitudes=LinearMagnitudeConfig(5.0, 4.0),
        std_firing_magnitudes=FoldedNormalMagnitudeConfig(0.5, 0.5),
        bias=0.5,
        seed=seed,
    )
    with _without_progress_bars():
        return World(SyntheticModel(config))


def load_world(folder: Path | str | None = None) -> World:
    """Read a world that `World.save` wrote; None reads the packaged one.

    Raises:
        CorruptFileError: its files are missing or damaged.
    """
    path = Path(folder) if folder is not None else _packaged()
    tensors = {k: t.float() for k, t in load_safetensors(path / _TENSORS).items()}
    recipe = read_json(path / _RECIPE)
    try:
        return World(_rebuild(recipe, tensors), path)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CorruptFileError(
            f"{path} holds no synthetic world of this version ({error}); make it again with "
            "scripts/make_world.py"
        ) from error


def _rebuild(recipe: dict[str, Any], tensors: dict[str, Tensor]) -> SyntheticModel:
    config = SyntheticModelConfig.from_dict(recipe["config"])
    dictionary = FeatureDictionary(  # its own initializer would orthogonalise for seconds
        config.num_features, config.hidden_dim, bias=config.bias, initializer=None
    )
    dictionary.feature_vectors.data = tensors["feature_vectors"]
    dictionary.bias.data = tensors["bias"]
    correlation = LowRankCorrelationMatrix(
        tensors["correlation_factor"], tensors["correlation_diagonal"]
    )
    model = SyntheticModel(
        config,
        feature_dict=dictionary,
        hierarchy=Hierarchy.from_dict(recipe["hierarchy"]),
        correlation_matrix=correlation,
    )
    generator = model.activation_generator
    generator.firing_probabilities = tensors["firing_probabilities"]
    generator.mean_firing_magnitudes = tensors["mean_magnitudes"]
    generator.std_firing_magnitudes = tensors["magnitude_deviations"]
    return model


def _packaged() -> Path:
    return Path(str(files("rsae_evals").joinpath("synthetic", "data")))


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """SAELens orthogonalises with a bar on; it is of no use to a reader of results."""
    from sae_lens.synthetic import feature_dictionary

    bar = feature_dictionary.tqdm
    feature_dictionary.tqdm = lambda *args, **kwargs: bar(*args, **{**kwargs, "disable": True})
    try:
        yield
    finally:
        feature_dictionary.tqdm = bar
