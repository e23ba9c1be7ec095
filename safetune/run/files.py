"""Files that survive: whole or not there at all, and on the disk when the call returns."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetune.errors import RunError

if sys.platform != "win32":  # without flock nothing keeps two processes apart
    import fcntl

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
# How libraries that do not raise OSError tell of a full disk.
_FULL_WORDS = ("no space left on device", "pytorchstreamwriter failed writing", "os error 28")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failed write under `path` into a `RunError` that says what to do; other errors pass."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in _FULL:
            raise _full(where) from error
        if error.errno in _REFUSED:
            raise RunError(
                f"{where}: cannot be written: {error.strerror}; expected a folder you may write to"
            ) from error
        raise
    except Exception as error:
        if any(words in str(error).lower() for words in _FULL_WORDS):
            raise _full(path) from error
        raise


def _full(where: Path | str) -> RunError:
    return RunError(
        f"{where}: the disk is full. What was written before is kept: free some space and run the same command again, "
        "it resumes"
    )


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file's content in one step: a reader, or a death, sees the old content or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with writing(path):
        try:
            with open(draft, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Append a line and flush it to the disk; a write that fails half-way is taken back."""
    with writing(path), open(path, "ab") as file:
        size = file.tell()
        try:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, size)
            raise


def sync_folder(folder: Path) -> None:
    """Flush the folder's list of names: a renamed file is there after a power cut as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some file systems cannot; then there is nothing more to be done
        pass
    finally:
        os.close(descriptor)


def remove_drafts(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for draft in folder.glob(".*.draft"):
        draft.unlink(missing_ok=True)


class Lock:
    """A lock on a folder that the system releases when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        path = folder / ".lock"
        with writing(path):
            self._file = open(path, "w")  # noqa: SIM115 - open for as long as the lock is held
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RunError(
                f"{folder}: another process is working in this run folder. Wait for it, or name another with --run"
            ) from None

    def release(self) -> None:
        """Let others in."""
        self._file.close()
