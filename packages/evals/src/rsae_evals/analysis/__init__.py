"""Beyond scalar metrics: feature identity and the learned activation function."""
