"""What is left of a game whose process was killed: its engine would run on for ever, and its files would stay.

A killed process runs no code of its own, so a small shell is started beside each engine and waits on a pipe. A word in
it says that the engine was closed in order; if the pipe just ends, the shell ends the engine and removes its folder.
"""

import subprocess
from pathlib import Path
from shutil import which

SCRIPT = 'read -r word && exit 0; kill -9 "$1" 2>/dev/null; sleep 0.2; rm -rf "$2"'


class Janitor:
    """Waits for the end of this process; does nothing where the engine's process cannot be found."""

    def __init__(self, folder: str) -> None:
        engine, shell = _engine_of(folder), which("sh")
        self._shell: subprocess.Popen[bytes] | None = None
        if engine is not None and shell is not None:
            self._shell = subprocess.Popen(
                [shell, "-c", SCRIPT, "sh", str(engine), folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt from the terminal must not reach it
            )

    def dismiss(self) -> None:
        """The engine was closed in order."""
        if self._shell is not None:
            self._shell.communicate(b"closed\n")
            self._shell = None


def _engine_of(folder: str) -> int | None:
    """The engine that has its files in a folder, told by its command line."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{folder}/".encode() in (entry / "cmdline").read_bytes():
                return int(entry.name)
        except OSError:
            continue
    return None
