"""Initial references of the exchange."""
