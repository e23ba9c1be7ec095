"""Run folders: everything that one training leaves behind, written so that no moment of death loses it."""

from safetune.run.files import writing
from safetune.run.folder import Run, find_run, is_run, resume_command, runs_root

__all__ = ["Run", "find_run", "is_run", "resume_command", "runs_root", "writing"]
