"""The SAEs that a command evaluates, by path, and the evaluation set of a language model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from rsae.data import harvest
from rsae.data.text import documents, split, tokenize
from rsae.language_model.host import SINK_POSITIONS, Host, hook_width, load_host
from rsae.language_model.names import advice_on_models, model_of
from rsae.pretrained import load_teacher
from rsae.sae.load import is_rsae, load_rsae
from rsae_evals.coder import Coder, as_coder
from rsae_evals.data.evaluation_set import EvaluationSet, evaluation_set
from rsae_evals.data.leakage import without_calibration
from rsae_evals.errors import EvaluationError

__all__ = ["WORLD", "Setting", "load_coder", "prepare"]

#: What names of SAEs of the packaged synthetic world begin with.
WORLD = "world:"


@dataclass(frozen=True)
class Setting:
    """Where held-out tokens come from.

    Attributes:
        host: A name for `rsae.language_model.host.load_host`; None: the model that
            the SAEs name, or else the packaged one.
        hook_name: The hook of the activations; None: the one that the SAEs name.
        text: A path for `rsae.data.text.documents`; None: the packaged text.
        n_tokens: Number of held-out tokens, rounded up to whole sequences, if there are as many.
        context_size: Tokens per sequence, BOS included.
        seed: Random seed of the split into training and held-out documents, and of the choice of
            tokens. With the seed of `rsae upgrade`, no training token is evaluated on.
        device, dtype: Device and floating type of the language model.
    """

    host: str | None = None
    hook_name: str | None = None
    text: Path | None = None
    n_tokens: int = 32_768
    context_size: int = 128
    seed: int = 0
    device: str | torch.device = "cpu"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.n_tokens < 1 or self.context_size <= SINK_POSITIONS:
            raise EvaluationError(
                f"{self.n_tokens} tokens at a context of {self.context_size} are too few; give at "
                f"least 1 token and a context above {SINK_POSITIONS}, for the first "
                f"{SINK_POSITIONS} positions do not count"
            )


def load_coder(path: str | Path) -> Any:
    """An RSAE's folder as an `rsae.RSAE`, anything else as an `rsae.pretrained.Teacher`.

    ``world:NAME`` is an SAE of the packaged synthetic world, such as ``world:topk``.

    Raises:
        TeacherError: There is nothing, or no SAE of a known format.
        CorruptFileError: A file is damaged.
    """
    if str(path).startswith(WORLD):
        from rsae_evals.synthetic import load_world

        return load_world().teacher(str(path).removeprefix(WORLD))
    return load_rsae(path) if is_rsae(path) else load_teacher(path)


def prepare(
    setting: Setting, sources: Sequence[Any], cache: Path, progress: Progress | None = None
) -> EvaluationSet:
    """The held-out tokens of a setting and their activations, as an evaluation set.

    Activations are kept in ``cache`` under the hash of what they are of: a second command on the
    same tokens does not run the language model again, and an interrupted run continues.

    Sequences on which one of the SAEs was calibrated are left out.

    Raises:
        ComparisonRefused: No other sequence is there.
        EvaluationError: The SAEs name different models or hooks, do not fit the model, or name no
            hook.
    """
    saes = [as_coder(source) for source in sources]
    hook_name = setting.hook_name or _agreed(saes, lambda said: said.get("hook_name"), "--hook")
    if hook_name is None:
        raise EvaluationError(
            "the SAE does not say at which hook it was trained; "
            "add it, such as --hook blocks.12.hook_resid_post"
        )
    _, heldout = split(documents(setting.text), seed=setting.seed)
    with advice_on_models(setting.host):
        host = load_host(
            setting.host or _agreed(saes, model_of, "--model"),
            device=setting.device,
            dtype=setting.dtype,
        )
    host.check_hook(hook_name)
    for sae in saes:
        if sae.d_in != (width := hook_width(host, hook_name)):
            raise EvaluationError(
                f"the SAE has d_in = {sae.d_in}, and {host.name} has width "
                f"{width} at {hook_name}; name the model it was trained on with --model"
            )
    tokens = without_calibration(tokenize(host, heldout, setting.context_size), saes)
    tokens = tokens.sample(min(setting.n_tokens, tokens.n_tokens), seed=setting.seed)
    folder = cache / "activations" / _key(host, hook_name, tokens.sha256)
    store = harvest(host, {"heldout": tokens}, hook_name, folder, progress=progress, wait=True)
    return evaluation_set(store.split("heldout"), tokens, host=host, hook_name=hook_name)


def _agreed(
    saes: Sequence[Coder], what: Callable[[Mapping[str, Any]], Any], option: str
) -> str | None:
    """What the metadata of the SAEs agree on, or None where none says it."""
    said = {str(found) for sae in saes if (found := what(sae.metadata))}
    if len(said) > 1:
        raise EvaluationError(
            f"the SAEs were trained at different places ({', '.join(sorted(said))}); "
            f"choose one with {option}"
        )
    return said.pop() if said else None


def _key(host: Host, hook_name: str, tokens_sha256: str) -> str:
    return hashlib.sha256(f"{host.fingerprint} {hook_name} {tokens_sha256}".encode()).hexdigest()[
        :16
    ]
