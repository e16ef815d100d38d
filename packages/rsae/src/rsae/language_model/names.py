"""How SAEs name the language model that they live in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rsae.errors import HostError

__all__ = ["PACKAGED", "advice_on_models", "model_of"]

PACKAGED = {
    "smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "gemma3-270m": "google/gemma-3-270m",
}
"""The short name of a packaged model → its name on the Hugging Face hub.

The packages hold quantized weights, so that activations differ a little from those of the hub's."""


def model_of(metadata: Mapping[str, Any]) -> str | None:
    """What to load for an SAE: the packaged weights, or else the model, that its metadata names.

    Example:
        >>> model_of({"model_name": "HuggingFaceTB/SmolLM2-135M-Instruct"})
        'HuggingFaceTB/SmolLM2-135M-Instruct'
        >>> model_of({"model_name": PACKAGED["smollm2"], "model_weights": "smollm2"})
        'smollm2'
    """
    name = metadata.get("model_weights") or metadata.get("model_name")
    return None if name is None else str(name)


@contextmanager
def advice_on_models(given: str | None) -> Iterator[None]:
    """Within it, a model that cannot be loaded and that the user did not name can be named.

    An SAE's files do not tell where on a machine a model's folder was: only its last part is kept.

    Raises:
        HostError: the one that was raised within, and that --model names a model's folder.
    """
    try:
        yield
    except HostError as error:
        if given:
            raise
        raise HostError(
            f"{error}; the SAE names this model: if it is a folder here, give it with --model"
        ) from error
