"""Dispatch: find the command, parse its arguments, turn what went wrong into one message and an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from safetune.errors import SafetuneError, choices, nearest

COMMANDS = {
    "train": "train a model or an agent as a recipe says; takes up an interrupted run",
    "eval": "measure a run's model or agent again; film an agent",
    "check": "look for mistakes in specs and recipes",
    "show": "show a spec as a table, a graph or a picture, and what it says of a trace",
    "guard": "read text and report each violation",
    "list": "recipes, specs, models and runs at hand",
}
MODULES = {"eval": "evaluate", "list": "listing"}  # commands named like a builtin
BROKEN_PIPE = 128 + 13  # what a shell reports of a process that a closed pipe has ended
INTERRUPTED = 128 + 2


class UsageError(SafetuneError):
    """The command line itself is wrong."""


class Command(Protocol):
    """What each command's module offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are `UsageError`s like any other error of the user's."""

    given: Sequence[str] = ()
    """The arguments, for hints."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse for wrong arguments."""
        unknown = message.startswith("unrecognized arguments: --")
        hint = self._hint(message.split()[2]) if unknown else ""
        raise UsageError(f"{self.prog}: {message}.{hint} See `{self.prog} --help`")

    def _hint(self, option: str) -> str:
        """What was meant by an unknown option: another option, or a value of the recipe."""
        name, _, value = option.partition("=")
        if hint := nearest(name, self._option_string_actions):
            return hint
        if not any(action.dest == "overrides" for action in self._actions):
            return ""
        if not value:
            value = next(iter(self.given[self.given.index(option) + 1 :]), "…") if option in self.given else "…"
        key = name.lstrip("-").replace("-", "_")
        return f" A recipe's values are given without dashes: {key}={value}."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except SafetuneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has gone. What is left in the buffer must not raise again when the interpreter flushes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt as stop:  # a command may say in it what is kept
        print("; ".join(("interrupted", *map(str, stop.args))), file=sys.stderr)
        return INTERRUPTED


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_help(), end="")
        return 0
    if argv[0] == "--version":
        from safetune import __version__

        print(f"safetune {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        raise UsageError(f"safetune: unknown command '{name}'. Commands: {choices(COMMANDS)}.{nearest(name, COMMANDS)}")
    command = _command(name)
    parser = Parser(
        prog=f"safetune {name}",
        allow_abbrev=False,
        description=command.__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    command.configure(parser)
    parser.given = rest
    try:
        args = parser.parse_intermixed_args(rest)
    except SystemExit:  # --help has printed what was asked
        return 0
    return command.run(args)


def _command(name: str) -> Command:
    return cast(Command, import_module(f"safetune.cli.{MODULES.get(name, name)}"))


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:{width}}  {about}" for name, about in COMMANDS.items())
    return (
        "usage: safetune COMMAND …\n\n"
        "Rules written once, in a spec file; kept by the models trained under it.\n\n"
        f"commands:\n{lines}\n\n"
        "`safetune COMMAND --help` says more.\n"
    )
