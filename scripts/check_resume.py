#!/usr/bin/env python
"""Kill a training with SIGKILL at random moments, run the same command again, compare with an uninterrupted run.

Ends with exit code 0 if the two adapters are the same to the last bit.
"""

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = [
    "trainer.max_steps=80", "trainer.per_device_train_batch_size=16", "trainer.num_iterations=2",
    "trainer.save_steps=2", "trainer.max_completion_length=24", "evaluate.samples=1",
]  # fmt: skip


def main() -> int:
    """Train once undisturbed and once under fire."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the two runs; emptied first")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    started = time.monotonic()
    subprocess.run(_command(args.out / "whole"), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    whole = time.monotonic() - started
    rng = random.Random(args.seed)
    for kill in range(args.kills):
        # A resumed run is shorter than a whole one, so moments are early enough for each to be met at work.
        moment = rng.uniform(0.1, 0.35) * whole
        print(f"kill {kill + 1} after {moment:.1f} s: {_killed(_command(args.out / 'killed'), moment)}", flush=True)
    subprocess.run(_command(args.out / "killed"), check=True)
    digests = [_digest(args.out / name / "adapter" / "adapter_model.safetensors") for name in ("whole", "killed")]
    print("uninterrupted", digests[0], "\nkilled       ", digests[1])
    print("bit-identical" if digests[0] == digests[1] else "DIFFERENT")
    return int(digests[0] != digests[1])


def _command(folder: Path) -> list[str]:
    recipe = str(ROOT / "recipes" / "quickstart.toml")
    return [sys.executable, "-m", "safetune", "train", recipe, *SMALL, "--run", str(folder)]


def _killed(command: list[str], moment: float) -> str:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        process.wait(timeout=moment)
        return "it had finished before"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    lines = [line for line in said.splitlines() if line.startswith(("step ", "resuming", "measuring"))]
    return f"last words '{lines[-1].strip()}'" if lines else "before its first words"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
