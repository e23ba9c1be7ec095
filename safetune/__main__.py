"""`python -m safetune`: the command line, for where the command itself is not on the path."""

from safetune.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
