"""What a command evaluates and on what: dictionaries by path, and frozen tokens of a host."""

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
        host: a name for `rsae.language_model.host.load_host`; None: what the dictionaries say
            of their origin, or else the packaged model.
        hook_name: a hook of the activations; None: what the dictionaries say.
        text: a path for `rsae.data.text.documents`; None: the packaged text.
        n_tokens: held-out tokens, in whole sequences: so many or a few more, as far as there are.
        context_size: tokens per sequence, BOS included.
        seed: of the split into training and held-out documents, and of the choice of tokens. The
            same as that of `rsae upgrade`, so that what one trains on, the other does not use.
        device, dtype: of the language model.
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
        TeacherError: nothing there, or no dictionary of a known format.
        CorruptFileError: a file is damaged.
    """
    if str(path).startswith(WORLD):
        from rsae_evals.synthetic import load_world

        return load_world().teacher(str(path).removeprefix(WORLD))
    return load_rsae(path) if is_rsae(path) else load_teacher(path)


def prepare(
    setting: Setting, sources: Sequence[Any], cache: Path, progress: Progress | None = None
) -> EvaluationSet:
    """Freeze the held-out tokens of a setting and harvest their activations.

    Activations are kept in ``cache`` under the hash of what they are of: a second command on the
    same tokens does not run the host up to the hook again, and a run that was stopped goes on.

    Sequences on which one of the dictionaries was calibrated are left out.

    Raises:
        ComparisonRefused: no other sequence is there.
        EvaluationError: the dictionaries disagree on their origin, do not fit the host, or do not
            say where in it they live.
    """
    coders = [as_coder(source) for source in sources]
    hook_name = setting.hook_name or _agreed(coders, lambda said: said.get("hook_name"), "--hook")
    if hook_name is None:
        raise EvaluationError(
            "the dictionary does not say where in the model it lives; "
            "add its hook, such as --hook blocks.12.hook_resid_post"
        )
    _, heldout = split(documents(setting.text), seed=setting.seed)
    with advice_on_models(setting.host):
        host = load_host(
            setting.host or _agreed(coders, model_of, "--model"),
            device=setting.device,
            dtype=setting.dtype,
        )
    host.check_hook(hook_name)
    for coder in coders:
        if coder.d_in != (width := hook_width(host, hook_name)):
            raise EvaluationError(
                f"the dictionary codes {coder.d_in} dimensions and {host.name} has "
                f"{width} at {hook_name}; name the model it was trained on with --model"
            )
    tokens = without_calibration(tokenize(host, heldout, setting.context_size), coders)
    tokens = tokens.sample(min(setting.n_tokens, tokens.n_tokens), seed=setting.seed)
    folder = cache / "activations" / _key(host, hook_name, tokens.sha256)
    store = harvest(host, {"heldout": tokens}, hook_name, folder, progress=progress, wait=True)
    return evaluation_set(store.split("heldout"), tokens, host=host, hook_name=hook_name)


def _agreed(
    coders: Sequence[Coder], what: Callable[[Mapping[str, Any]], Any], option: str
) -> str | None:
    """What the metadata of all dictionaries that say something say, or None where none does."""
    said = {str(found) for coder in coders if (found := what(coder.metadata))}
    if len(said) > 1:
        raise EvaluationError(
            f"the dictionaries were trained at different places ({', '.join(sorted(said))}); "
            f"choose one with {option}"
        )
    return said.pop() if said else None


def _key(host: Host, hook_name: str, tokens_sha256: str) -> str:
    return hashlib.sha256(f"{host.fingerprint} {hook_name} {tokens_sha256}".encode()).hexdigest()[
        :16
    ]
