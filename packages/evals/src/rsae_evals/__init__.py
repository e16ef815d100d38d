"""Is the upgraded sparse autoencoder better? Every metric, on the same evaluation set.

The public names are listed in ``__init__.pyi``; each is imported when it is first used (SPEC 1 of
Scientific Python), so that reading a report does not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
