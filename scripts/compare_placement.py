#!/usr/bin/env python
"""Dense against terminal reward: the same trainer, the same total reward, equal samples, several seeds.

Each run is an ordinary run folder under --out, so an interrupted comparison goes on where it stopped. Writes the
table and the curves to docs/results/.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("dense", "terminal")
TARGET = 0.05
WINDOW = 4  # batches in the running mean by which the target is judged


def main() -> None:
    """Train every arm and seed, then write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default=str(ROOT / "recipes" / "quickstart.toml"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    args = parser.parse_args()
    runs = {
        arm: [_train(args.recipe, args.out / f"{arm}-{seed}", seed, arm, args.overrides) for seed in range(args.seeds)]
        for arm in ARMS
    }
    curves = {arm: np.array([_curve(run) for run in folders]) for arm, folders in runs.items()}
    args.page.mkdir(parents=True, exist_ok=True)
    page = _page(curves, runs)
    (args.page / "placement.md").write_text(page, encoding="utf-8")
    _draw(curves, args.page / "placement.svg")
    print(page)


def _train(recipe: str, folder: Path, seed: int, arm: str, overrides: list[str]) -> Path:
    settings = [f"seed={seed}", f"reward.placement={arm}", *overrides]
    command = [sys.executable, "-m", "safetune", "train", recipe, *settings, "--run", str(folder)]
    print(" ".join(command), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def _curve(folder: Path) -> np.ndarray:
    """(G, 2) completions drawn and violation rate, a row per batch."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return np.array([(row["completions"], row["safeguard/violation_rate"]) for row in rows])


def samples_to_target(curve: np.ndarray) -> float:
    """Completions until the mean rate of the last batches is at the target; inf if it never is."""
    rates = np.convolve(curve[:, 1], np.ones(WINDOW) / WINDOW, mode="valid")
    reached = np.flatnonzero(rates <= TARGET)
    return float(curve[reached[0] + WINDOW - 1, 0]) if len(reached) else float("inf")


def _page(curves: dict[str, np.ndarray], runs: dict[str, list[Path]]) -> str:
    seeds = len(next(iter(curves.values())))
    lines = [
        "# Dense against terminal reward",
        "",
        f"The same trainer and the same total reward; {seeds} seeds an arm; made by `scripts/compare_placement.py`.",
        f"Reached: the mean violation rate of the last {WINDOW} batches is at most {TARGET:.0%}.",
        "Log-likelihood is that of the completions under the base model, in nats a token. All by seed.",
        "",
        "| arm | completions to reach it | held-out rate after | log-likelihood change | distinct bigrams kept |",
        "|---|---|---|---|---|",
    ]
    for arm, folders in runs.items():
        reached = ", ".join(_count(samples_to_target(curve)) for curve in curves[arm])
        results = [json.loads((folder / "evaluation.json").read_text()) for folder in folders]
        after = ", ".join(f"{r['after']['violation_rate']['value']:.1%}" for r in results)
        change = ", ".join(f"{r['after']['logp_base'] - r['before']['logp_base']:+.2f}" for r in results)
        kept = ", ".join(f"{r['after']['distinct_bigrams'] / r['before']['distinct_bigrams']:.0%}" for r in results)
        lines.append(f"| {arm} | {reached} | {after} | {change} | {kept} |")
    lines += ["", "![violation rate over completions](placement.svg)", "", _table(curves)]
    return "\n".join(lines) + "\n"


def _count(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.0f}"


def _table(curves: dict[str, np.ndarray]) -> str:
    """Mean and spread over seeds at every eighth of the training."""
    lines = ["| completions | " + " | ".join(f"{arm}: mean (least to most)" for arm in curves) + " |"]
    lines.append("|---" * (len(curves) + 1) + "|")
    n = min(c.shape[1] for c in curves.values())
    for i in np.unique(np.linspace(0, n - 1, 9).astype(int)):
        cells = [f"{c[:, i, 1].mean():.1%} ({c[:, i, 1].min():.1%} to {c[:, i, 1].max():.1%})" for c in curves.values()]
        lines.append(f"| {next(iter(curves.values()))[0, i, 0]:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _draw(curves: dict[str, np.ndarray], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    for (arm, seeds), colour in zip(curves.items(), ("#1b6ca8", "#c8553d"), strict=True):
        x, y = seeds[0, :, 0], 100 * seeds[:, :, 1]
        axes.plot(x, y.mean(axis=0), color=colour, label=arm)
        axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    axes.axhline(100 * TARGET, color="#888888", linewidth=0.8, linestyle="--")
    axes.set(xlabel="completions", ylabel="violating completions (%)", ylim=(0, None))
    axes.legend(frameon=False, title="mean and range over seeds")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
