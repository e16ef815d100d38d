"""The README.md of a saved RSAE: what a reader of a model hub needs before loading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

__all__ = ["model_card"]

_CARD = """\
---
library_name: saelens
tags:
- sparse-autoencoder
- rational-activation
{base_model}---

# Rational sparse autoencoder

A sparse autoencoder whose activation is a trainable rational function.

| | |
|---|---|
| host and hook | {host}, `{hook}` |
| dictionary | {d_in} → {d_sae} features |
| activation | {form}, a rational function of type ({m}, {n}), one for all features |
| support | {support}; codes outside it are exactly zero |
| refinement | {refinement} |
| teacher | {teacher} |

```python
import rsae  # registers the architecture "rational"; without it SAELens raises KeyError: 'rational'
from sae_lens import SAE

sae = SAE.load_from_disk("FOLDER")  # from a hub: SAE.from_pretrained("OWNER/REPOSITORY", "FOLDER")
```

`rsae eval FOLDER` measures it. `rsae export FOLDER --as jumprelu --out PLAIN` writes the nearest
SAE that needs no `rsae`, and says what that costs. The weights derive from the teacher's and from
its host's activations: their licences hold here too.
"""
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_SUPPORTS = {
    "threshold": "a threshold for each feature",
    "level": "where the gate exceeds one half",
    "topk": "the {k} largest of a token",
}


def model_card(config: Any, degree: tuple[int, int]) -> str:
    """Markdown with the hub's YAML header: what it is, how it is loaded, whose licence holds.

    Figures are not in it: they belong to the tokens that they were measured on, see `rsae eval`.

    Args:
        config: the `RSAEConfig` of the SAE.
        degree: the type (m, n) of its rational activation.
    """
    metadata = config.metadata.to_dict()
    m, n = degree
    host = str(metadata.get("model_name") or "unknown")
    return _CARD.format(
        base_model=f"base_model: {host}\n" if _HUB_NAME.fullmatch(host) else "",
        host=host,
        hook=metadata.get("hook_name") or "unknown",
        d_in=config.d_in,
        d_sae=config.d_sae,
        form=config.form,
        m=m,
        n=n,
        support=_SUPPORTS[config.support].format(k=config.k),
        refinement=_refinement(config.refinement),
        teacher=_teacher(metadata),
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
