"""Run folders: everything that one training leaves behind, written so that no moment of death loses it."""

from safetune.run.files import writing
from safetune.run.folder import Run, is_run, runs_root

__all__ = ["Run", "is_run", "runs_root", "writing"]
