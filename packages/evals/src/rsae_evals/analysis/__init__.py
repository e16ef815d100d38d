"""Beyond scalar metrics: decoder geometry and the learned activation function."""
