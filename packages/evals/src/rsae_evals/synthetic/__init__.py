"""Synthetic activations with known features, and how well SAEs recover them."""

from rsae_evals.synthetic.world import World, load_world, make_world

__all__ = ["World", "load_world", "make_world"]
