#!/usr/bin/env python
"""One game recipe, several arms, several seeds: with and without the safeguard, and beside other ways to be safe.

    unguarded    no reward from the safeguard, and nothing seen of it; it only counts
    guarded      the recipe as it stands
    hidden       the same price of a violation, but nothing seen of the safeguard and no shaping
    lagrangian   PPO-Lagrangian: the price is found, not given
    maskable     MaskablePPO: actions that are foreseen to break a rule are not taken

Each run is an ordinary run folder under --out, so an interrupted comparison goes on where it stopped. Writes a table,
curves and the figures (Markdown, SVG, JSON) to --page.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ARMS: dict[str, tuple[str, ...]] = {
    "unguarded": ("reward.form=sparse", "reward.weight=0.0", "env.observe=none", "env.end_on_violation=false"),
    "guarded": (),
    "hidden": ("reward.form=sparse", "env.observe=none"),
    "lagrangian": (
        "agent.algorithm=ppo-lagrangian",
        "trainer.cost_limit=0.2",
        "reward.form=sparse",
        "reward.weight=0.0",
    ),
    "maskable": ("agent.algorithm=maskable-ppo",),
}
COLOURS = {
    "unguarded": "#7a7a7a", "guarded": "#1b6ca8", "hidden": "#c8553d", "lagrangian": "#6a9a3b", "maskable": "#8a5aa8",
}  # fmt: skip
COLUMNS = (
    ("return", "return", "mean"), ("success", "success", "value"),
    ("violations_per_episode", "violations an episode", "mean"), ("clean_episodes", "clean episodes", "value"),
    ("cost_per_episode", "cost an episode", "mean"),
)  # fmt: skip


def main() -> int:
    """Train every arm and seed, then write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--page", type=Path, required=True, help="where to write, as docs/results/valley")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["unguarded", "guarded", "hidden"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time, one core each")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="[arm:]key=value", help="values for all arms, or for one of them"
    )
    args = parser.parse_args()
    for text in args.set:
        arm, colon, _ = text.partition("=")[0].partition(":")
        if colon and arm not in ARMS:
            parser.error(f"--set {text}: unknown arm '{arm}'; the arms are {', '.join(ARMS)}")
    tasks = [(arm, seed) for seed in range(args.seeds) for arm in args.arms]
    with ThreadPoolExecutor(args.jobs) as pool:
        failed = [
            f"{arm}-{seed}"
            for (arm, seed), good in zip(tasks, pool.map(lambda task: train(args, *task), tasks), strict=True)
            if not good
        ]
    if failed:
        where = f"see the logs beside their folders in {args.out}, and run this again"
        print(f"failed: {', '.join(failed)}; {where}", file=sys.stderr)
        return 1
    runs = {arm: [args.out / f"{arm}-{seed}" for seed in range(args.seeds)] for arm in args.arms}
    write(args, runs, {arm: [evaluation(run) for run in folders] for arm, folders in runs.items()})
    return 0


def evaluation(run: Path) -> dict[str, Any]:
    """What a run came to."""
    result: dict[str, Any] = json.loads((run / "evaluation.json").read_text())
    return result


def overrides(arm: str, given: list[str]) -> list[str]:
    """What an arm changes in the recipe; what is given for the arm itself comes last, and so wins."""
    general = [text for text in given if text.partition("=")[0].partition(":")[1] == ""]
    own = [text.partition(":")[2] for text in given if text.startswith(f"{arm}:")]
    return [*general, *ARMS[arm], *own]


def train(args: argparse.Namespace, arm: str, seed: int) -> bool:
    """One run, on one core; whether it came to its end."""
    folder = args.out / f"{arm}-{seed}"
    settings = [f"seed={seed}", *overrides(arm, args.set)]
    command = [sys.executable, "-m", "safetune", "train", args.recipe, *settings, "--run", str(folder)]
    args.out.mkdir(parents=True, exist_ok=True)
    with open(args.out / f"{arm}-{seed}.log", "ab") as log:
        done = subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
    print(f"{arm}-{seed}: {'done' if done.returncode == 0 else f'exit code {done.returncode}'}", file=sys.stderr)
    return done.returncode == 0


def write(args: argparse.Namespace, runs: dict[str, list[Path]], results: dict[str, list[dict[str, Any]]]) -> None:
    """The table, the curves and the figures."""
    args.page.parent.mkdir(parents=True, exist_ok=True)
    name = json.loads((next(iter(runs.values()))[0] / "versions.json").read_text())
    figures = {arm: [result["after"] for result in found] for arm, found in results.items()}
    recorded = {"recipe": Path(args.recipe).name, "set": args.set, "versions": name, "arms": figures}
    args.page.with_suffix(".json").write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    text = page(args, results)
    args.page.with_suffix(".md").write_text(text, encoding="utf-8")
    draw({arm: [curve(run) for run in folders] for arm, folders in runs.items()}, args.page.with_suffix(".svg"))
    print(text)


def page(args: argparse.Namespace, results: dict[str, list[dict[str, Any]]]) -> str:
    """The comparison as Markdown: means over seeds, and their range."""
    first = next(iter(results.values()))[0]
    known = [column for column in COLUMNS if all(column[0] in r["after"] for found in results.values() for r in found)]
    lines = [
        f"# {first['env']}: {first['spec']}",
        "",
        f"`{Path(args.recipe).name}`, {args.seeds} seeds an arm, {first['episodes']} episodes each after training; "
        "made by `scripts/compare_guards.py`. Means over seeds, with the least and the most.",
        "",
        f"| arm | {' | '.join(words for _, words, _ in known)} |",
        "|---" * (len(known) + 1) + "|",
    ]
    for arm, found in results.items():
        cells = [spread([r["after"][key][part] for r in found], share=part == "value") for key, _, part in known]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    lines += ["", *by_rule(results), "", *changes(args, results), "", f"![curves]({args.page.name}.svg)"]
    return "\n".join(lines) + "\n"


def by_rule(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Times an episode that each rule is broken."""
    rules = list(next(iter(results.values()))[0]["after"]["rules"])
    lines = ["| rule, times an episode | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for rule in rules:
        cells = [spread([r["after"]["rules"][rule]["per_episode"] for r in found]) for found in results.values()]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    return lines


def changes(args: argparse.Namespace, results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What each arm changes in the recipe, and how it stands to the unguarded one."""
    lines = []
    means = {arm: mean_of(found) for arm, found in results.items()}
    for arm in results:
        said = " ".join(overrides(arm, args.set)) or "the recipe as it stands"
        line = f"- {arm}: `{said}`"
        if arm != "unguarded" and "unguarded" in means and means["unguarded"][1] and means["unguarded"][0] > 0:
            reward, broken = (own / free for own, free in zip(means[arm], means["unguarded"], strict=True))
            line += f"; {reward:.0%} of the unguarded return at {broken:.1%} of its violations"
        lines.append(line)
    return lines


def mean_of(found: list[dict[str, Any]]) -> tuple[float, float]:
    """Return and violations an episode, over seeds."""
    after = [result["after"] for result in found]
    returns = [measures["return"]["mean"] for measures in after]
    return float(np.mean(returns)), float(np.mean([measures["violations_per_episode"]["mean"] for measures in after]))


def spread(values: list[float], *, share: bool = False) -> str:
    """`mean (least to most)`."""
    form = "{:.1%}" if share else "{:.3g}"
    return f"{form.format(np.mean(values))} ({form.format(min(values))} to {form.format(max(values))})"


def curve(run: Path) -> np.ndarray:
    """(G, 3) steps, return and violations an episode, of the rounds in which episodes ended."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return np.array([(r["step"], r["return"], r["violations_per_episode"]) for r in rows if "return" in r])


def draw(curves: dict[str, list[np.ndarray]], path: Path) -> None:
    """Return and violations while training: mean over seeds, and the range."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.6, 3.6))
    for column, (axes, words) in enumerate(zip(panels, ("return", "violations an episode"), strict=True), 1):
        for arm, seeds in curves.items():
            if not all(len(seed) for seed in seeds):
                continue
            steps = np.linspace(max(s[0, 0] for s in seeds), min(s[-1, 0] for s in seeds), 60)
            values = np.array([np.interp(steps, s[:, 0], smooth(s[:, column])) for s in seeds])
            axes.plot(steps, values.mean(axis=0), color=COLOURS[arm], label=arm)
            axes.fill_between(
                steps, values.min(axis=0), values.max(axis=0), color=COLOURS[arm], alpha=0.15, linewidth=0
            )
        axes.set(xlabel="steps", ylabel=words)
        axes.spines[["top", "right"]].set_visible(False)
    panels[1].set_ylim(bottom=0)
    panels[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def smooth(values: np.ndarray) -> np.ndarray:
    """The running mean over a thirtieth of the curve."""
    width = max(1, len(values) // 30)
    padded = np.pad(values, (width - 1, 0), mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")


if __name__ == "__main__":
    sys.exit(main())
