"""The command line as a function: `rsae.cli.main(["info", "demo:relu"])`."""

from rsae_cli import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    raise SystemExit(main())
