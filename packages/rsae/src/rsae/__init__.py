"""Rational sparse autoencoders: a trained SAE's activation, made a trainable rational function.

Importing this package registers the architecture "rational" with SAELens, as soon as SAELens itself
is imported. The public names are listed in ``__init__.pyi``; each is imported when it is first used
(SPEC 1 of Scientific Python), so that what needs no torch does not wait for it.
"""

from importlib import import_module
from typing import Any

import lazy_loader
from wrapt import when_imported

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


@when_imported("sae_lens")
def _register(_: Any) -> None:
    import_module("rsae.sae.model")  # registers its class when it is imported
