#!/usr/bin/env python
"""The paper's gridworld: tabular Q-learning under four safeguards in turn, 20 seeds side by side.

Safeguards 1 to 3 watch 1,666 episodes each, the fourth the last two, and then 100 test episodes (at most 1,000 steps
each; gamma 0.9, alpha 0.9, epsilon 0.1; +0.1 on a safe step, -0.1 at a violation, which ends the episode). Counted
are the episodes that end in a violation. Where the paper is silent: of equally good actions the first is taken, and
every safeguard has automaton states of its own.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from rich.console import Console

import safetune.games  # noqa: F401 - registers the environments
from safetune.games import RewardSettings, SafeguardVectorWrapper
from safetune.games.agents.staged import Outcome, Staged
from safetune.games.agents.tabular import QSettings
from safetune.progress import Progress
from safetune.safeguard import Safeguard

ROOT = Path(__file__).resolve().parent.parent
SPECS = (
    "craft_never_creeper_or_lava", "craft_wood_remembered", "craft_lava_after_bench", "craft_creeper_after_table",
)  # fmt: skip
SETTINGS = QSettings()
REWARD = RewardSettings(form="bonus", bonus=0.1, weight=0.1, gamma=SETTINGS.gamma)
STEPS = 1000
SEEN_BY_AUTHORS = "the authors' own code, run once: 1,005 (356, 432, 217 a third), then 1 of 100"


def main() -> None:
    """Learn, test, print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    parser.add_argument("--episodes", type=int, default=5000, help="of training")
    parser.add_argument("--tests", type=int, default=100, help="episodes of the test")
    parser.add_argument("--layout", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--out", type=Path, help="a JSON file for the counts")
    parser.add_argument("--page", type=Path, help="a Markdown file for the table, as docs/results/paper_gridworld.md")
    args = parser.parse_args()
    started = time.perf_counter()
    stages, test = learn(args.layout, args.seeds, args.seed, args.episodes, args.tests)
    result = described(stages, test, time.perf_counter() - started)
    print(page(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if args.page:
        args.page.parent.mkdir(parents=True, exist_ok=True)
        args.page.write_text(f"# The paper's gridworld, tabular Q-learning\n\n{page(result)}\n", encoding="utf-8")


def learn(layout: int, seeds: int, seed: int, episodes: int, tests: int) -> tuple[list[Outcome], Outcome]:
    """What each stage, and the test, came to."""
    third = episodes // 3
    lengths = (third, third, third, episodes - 3 * third)
    envs = gym.make_vec(f"safetune/Craft-Paper{layout}-v0", seeds, autoreset_mode=AutoresetMode.DISABLED)
    staged = Staged(SETTINGS, seed)
    with Progress(Console(stderr=True, highlight=False)) as progress:
        progress.start(episodes * seeds, name="episodes")
        before = 0
        for name, length in zip(SPECS, lengths, strict=True):
            offset = before
            staged.train(watched(envs, name), length, lambda done, offset=offset: progress.update(offset + done))
            before += length * seeds
        progress.update(before)
    return staged.outcomes, staged.test(watched(envs, SPECS[-1]), tests)


def watched(envs: gym.vector.VectorEnv, name: str) -> SafeguardVectorWrapper:
    """The environments under one of the safeguards."""
    guard = Safeguard.load(ROOT / "specs" / f"{name}.toml")
    return SafeguardVectorWrapper(envs, guard, reward=REWARD, end_on_violation=True)


def described(stages: list[Outcome], test: Outcome, seconds: float) -> dict[str, object]:
    """The counts by seed, as they are written."""
    return {
        "training": sum(stage.violations for stage in stages).tolist(),
        "stages": {stage.safeguard: stage.violations.tolist() for stage in stages},
        "episodes": {stage.safeguard: stage.violating.shape[1] for stage in stages},
        "test": test.violations.tolist(),
        "test_episodes": test.violating.shape[1],
        "steps": int(sum(stage.lengths.sum() for stage in [*stages, test])),
        "seconds": round(seconds, 1),
    }


def page(result: dict) -> str:
    """The counts as a Markdown table."""
    lines = [
        f"{len(result['training'])} seeds, {result['steps'] / 1e6:.1f} M steps in {result['seconds']:.0f} s; made by "
        f"`scripts/paper_gridworld.py`. Episodes that end in a violation ({SEEN_BY_AUTHORS}):",
        "",
        "| | episodes | mean | least | most | standard deviation |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    rows = [(name, result["episodes"][name], counts) for name, counts in result["stages"].items()]
    rows += [("all of training", sum(result["episodes"].values()), result["training"])]
    rows += [("test", result["test_episodes"], result["test"])]
    for name, episodes, counts in rows:
        spread = np.std(counts, ddof=1) if len(counts) > 1 else 0.0
        lines.append(f"| {name} | {episodes} | {np.mean(counts):.1f} | {min(counts)} | {max(counts)} | {spread:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
