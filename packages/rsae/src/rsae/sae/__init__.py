"""The rational sparse autoencoder: activation, model, model card, loading and export."""
