"""How a best approximation is found: the exchange, its starts and the reductions before it."""
