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
from rsae.sae.transcoder import REFINEMENT, load_transcoder
from rsae_evals.coder import Coder, as_coder
from rsae_evals.data.evaluation_set import EvaluationSet, evaluation_set
from rsae_evals.data.leakage import without_calibration
from rsae_evals.errors import ComparisonRefused, EvaluationError

__all__ = ["WORLD", "Setting", "load_coder", "prepare"]

#: What names of SAEs of the packaged synthetic world begin with.
WORLD = "world:"


@dataclass(frozen=True)
class Setting:
    """Where held-out tokens come from.

    Attributes:
        host: A name for `rsae.language_model.host.load_host`; None: the model that
            the SAEs name, or else the packaged one.
        hook_name: The hook that is read; None: the one that the SAEs name.
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

    A transcoder that was saved with a refinement is an `rsae.Transcoder`.

    ``world:NAME`` is an SAE of the packaged synthetic world, such as ``world:topk``.

    Raises:
        TeacherError: There is nothing, or no SAE of a known format.
        CorruptFileError: A file is damaged.
    """
    if str(path).startswith(WORLD):
        from rsae_evals.synthetic import load_world

        return load_world().teacher(str(path).removeprefix(WORLD))
    if is_rsae(path):
        return load_rsae(path)
    teacher = load_teacher(path)
    return load_transcoder(path) if REFINEMENT in teacher.metadata else teacher


def prepare(
    setting: Setting, sources: Sequence[Any], cache: Path, progress: Progress | None = None
) -> EvaluationSet:
    """The held-out tokens of a setting and their activations, as an evaluation set.

    Activations are kept in ``cache`` under the hash of what they are of: a second command on the
    same tokens does not run the language model again, and an interrupted run continues.

    Sequences on which one of the SAEs was calibrated are left out.

    Raises:
        ComparisonRefused: No other sequence is there, or there are SAEs and transcoders.
        EvaluationError: The SAEs name different models or hooks, do not fit the model, or name no
            hook.
    """
    saes = [as_coder(source) for source in sources]
    output_hook = _output_hook(saes)
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
    for sae in saes:
        for hook, name in ((hook_name, "d_in"), (output_hook or hook_name, "d_out")):
            host.check_hook(hook)
            if (own := getattr(sae, name)) != (width := hook_width(host, hook)):
                raise EvaluationError(
                    f"the SAE has {name} = {own}, and {host.name} has width "
                    f"{width} at {hook}; name the model it was trained on with --model"
                )
    tokens = without_calibration(tokenize(host, heldout, setting.context_size), saes)
    tokens = tokens.sample(min(setting.n_tokens, tokens.n_tokens), seed=setting.seed)
    hooks = (hook_name,) if output_hook is None else (hook_name, output_hook)
    folder = cache / "activations" / _key(host, " ".join(hooks), tokens.sha256)
    store = harvest(host, {"heldout": tokens}, hooks, folder, progress=progress, wait=True)
    x = store.split("heldout", hook_name)
    if output_hook is None:
        return evaluation_set(x, tokens, host=host, hook_name=hook_name)
    return evaluation_set(
        x,
        tokens,
        host=host,
        hook_name=output_hook,
        targets=store.split("heldout", output_hook),
        input_hook=hook_name,
    )


def _output_hook(saes: Sequence[Coder]) -> str | None:
    """The hook that transcoders predict; None for SAEs, which reconstruct what they read.

    Raises:
        ComparisonRefused: There are both.
        EvaluationError: The transcoders name several such hooks, or none.
    """
    if len({sae.transcodes for sae in saes}) > 1:
        raise ComparisonRefused(
            "an SAE reconstructs what it reads and a transcoder predicts another hook, so that no "
            "figure of the one compares with the other's; compare SAEs and transcoders apart"
        )
    if not any(sae.transcodes for sae in saes):
        return None
    found = {str(sae.metadata.get("hook_name_out") or "") for sae in saes}
    if len(found) > 1:
        raise EvaluationError(
            f"the transcoders predict different hooks ({', '.join(sorted(found))}); compare those "
            "of one hook"
        )
    if found == {""}:
        raise EvaluationError(
            "the transcoder does not say which hook it predicts; write it as hook_name_out into "
            "the metadata of its cfg.json"
        )
    return found.pop()


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
