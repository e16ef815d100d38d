"""The rational sparse autoencoder: activation, model, model card, loading and export."""

import sae_lens  # noqa: F401 - it registers `RSAE`, before any module here is half imported
