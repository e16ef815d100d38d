"""The README.md of a saved RSAE, its model card on a hub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

__all__ = ["Figure", "model_card"]


class Figure(NamedTuple):
    """One row of the card's figures.

    Attributes:
        name: What was measured, with its unit.
        teacher: Its value for the teacher.
        rsae: Its value for this SAE.
        n_tokens: Number of held-out tokens.
    """

    name: str
    teacher: float
    rsae: float
    n_tokens: int


_CARD = """\
---
library_name: saelens
tags:
- sparse-autoencoder
- rational-activation
license: {licence}
{base_model}---

# Rational {kind}

A {kind} whose activation is a trainable rational function.

| | |
|---|---|
| model and hook | {host}{weights}, {hook} |
| dictionary | {d_in} → {d_sae} features{d_out} |
| activation | {form}, a rational function of type ({m}, {n}), one for all features |
| support | {support}; feature activations outside it are exactly zero |
| refinement | {refinement} |
| teacher | {teacher} |
| licence | {of_licence} |

{figures}```python
import rsae  # registers the architecture "rational"; without it SAELens raises KeyError: 'rational'
from sae_lens import SAE

sae = SAE.load_from_disk("FOLDER")  # from a hub: SAE.from_pretrained("OWNER/REPOSITORY", "FOLDER")
```

`rsae eval FOLDER` measures it.{export}
"""
_EXPORT = """ `rsae export FOLDER --as jumprelu --out PLAIN` writes the nearest
SAE that needs no `rsae`, and says what that costs."""
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_SUPPORTS = {
    "threshold": "a threshold for each feature",
    "level": "where the gate exceeds one half",
    "topk": "the {k} largest of a token",
}


def model_card(config: Any, degree: tuple[int, int], further: Sequence[Figure] = ()) -> str:
    """Markdown with the hub's YAML header: what it is, how it is loaded, whose licence holds.

    Args:
        config: The `RSAEConfig` of the SAE, whose metadata have what `rsae upgrade` measured.
        degree: The type (m, n) of its rational activation.
        further: Further figures, such as of the language model's loss.
    """
    metadata = config.metadata.to_dict()
    licence = metadata.get("license")
    m, n = degree
    host = str(metadata.get("model_name") or "unknown")
    return _CARD.format(
        base_model=f"base_model: {host}\n" if _HUB_NAME.fullmatch(host) else "",
        host=host,
        licence=licence if _is_word(licence) else "other",
        of_licence=(
            f"{licence if _is_word(licence) else 'not stated'}, the teacher's; the weights derive "
            "from it and from its language model's activations, so both licences hold"
        ),
        weights=" (the package's quantized weights)" if metadata.get("model_weights") else "",
        figures=_figures([*_measured(metadata.get("measured")), *further]),
        kind="sparse autoencoder" if config.d_out is None else "transcoder",
        export=_EXPORT if config.d_out is None else "",
        hook=_hooks(metadata, config.d_out is not None),
        d_out="" if config.d_out is None else f" → {config.d_out}",
        d_in=config.d_in,
        d_sae=config.d_sae,
        form=config.form,
        m=m,
        n=n,
        support=_SUPPORTS[config.support].format(k=config.k),
        refinement=_refinement(config.refinement),
        teacher=_teacher(metadata),
    )


def _hooks(metadata: Mapping[str, Any], transcodes: bool) -> str:
    """Where it reads, and what a transcoder predicts."""
    names = ("hook_name", "hook_name_out") if transcodes else ("hook_name",)
    return " → ".join(f"`{metadata.get(name) or 'unknown'}`" for name in names)


def _is_word(licence: object) -> bool:
    """Whether it can be an identifier of a licence in a YAML header."""
    return isinstance(licence, str) and re.fullmatch(r"[\w.-]{1,40}", licence) is not None


def _measured(found: Any) -> list[Figure]:
    """Figures of `rsae upgrade` in an SAE's metadata; none where they are not as it writes them."""
    if not isinstance(found, Mapping):
        return []
    rows = (("MSE, summed over d_in", "mse"), ("L0", "l0"))
    values = [found.get(f"{whose}{name}") for _, name in rows for whose in ("teacher_", "")]
    n = found.get("n_tokens")
    if type(n) is not int or not all(type(value) is float for value in values):
        return []
    return [Figure(name, found[f"teacher_{key}"], found[key], n) for name, key in rows]


def _figures(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    rows = "".join(
        f"| {one.name} | {one.teacher:.4g} | {one.rsae:.4g} | {one.n_tokens:,} |\n"
        for one in figures
    )
    return (
        "| on tokens that nothing was trained on | teacher | this SAE | tokens |\n"
        f"|---|---|---|---|\n{rows}\n"
    )


def _refinement(settings: Mapping[str, Any] | None) -> str:
    if settings is None:
        return "none"
    steps = {
        "cg": f"{settings['steps']} conjugate-gradient steps",
        "minimax": f"{settings['steps']} steps of fixed sizes",
        "exact": "exact least squares",
    }[settings["method"]]
    pursuit = ", after one pursuit that changes the support" if settings["pursuit"] else ""
    return f"{steps} on each token's support{pursuit}"


def _teacher(metadata: Mapping[str, Any]) -> str:
    """Family and name of the teacher; of a local path its last folder alone."""
    source = str(metadata.get("teacher") or "unknown")
    path = PurePath(source)
    name = path.parent.name if path.is_absolute() else source
    return f"{metadata.get('teacher_family') or 'unknown family'}, {name}"
