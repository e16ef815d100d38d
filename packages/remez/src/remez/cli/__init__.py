"""The command line of `remez`."""
