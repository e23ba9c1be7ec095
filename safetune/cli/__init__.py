"""The command line: `safetune COMMAND …`. Each command is a module, imported only when it is called.

Exit codes: 0 all is well; 1 a violation was found (`guard`), or a finding that is an error (`check`); 2 what the user
gave cannot be used, said in one `error: …` on standard error; 130 interrupted. A traceback is always a bug of ours.
"""

from safetune.cli.main import main

__all__ = ["main"]
