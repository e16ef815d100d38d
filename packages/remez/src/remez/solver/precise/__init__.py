"""The exchange in arbitrary precision."""
