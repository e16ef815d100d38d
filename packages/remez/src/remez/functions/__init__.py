"""What is approximated: expressions, the catalogue, the primitives in four arithmetics."""
