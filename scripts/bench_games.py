"""How fast are the games, and what does a safeguard cost? Beside other gridworlds and VizDoom's own wrapper.

    python scripts/bench_games.py [--seconds 2] [--only craft peers doom]

Random actions drawn beforehand, in seconds of one core's work (of the clock for Doom, whose engine is a process of its
own), best of several rounds; without and with the safeguard in turns, so that what else the machine does meets both.
Read the ratios rather than the figures. "Guarded" is the safeguard wrapper with the default reward (costs and the
distance potential). Craft is the valley with its egocentric view under specs/craft_valley.toml, and the paper's first
map under its fourth safeguard. What is not installed is named and left out.
"""

import argparse
import contextlib
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import safetune.games  # noqa: F401, registers the environments
from safetune import Safeguard
from safetune.games import SafeguardVectorWrapper, SafeguardWrapper

SPECS = Path(__file__).parents[1] / "specs"
SIZES = (1, 64, 1024, 4096)
ROUNDS = 5
Stepper = Callable[[int], None]
"""Makes so many steps."""
Clock = Callable[[], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each figure is measured, about")
    parser.add_argument("--only", nargs="+", choices=("craft", "peers", "doom"), default=("craft", "peers", "doom"))
    options = parser.parse_args()
    parts: dict[str, Callable[[float], None]] = {"craft": craft, "peers": peers, "doom": doom}
    for name in options.only:
        parts[name](options.seconds)


def craft(seconds: float) -> None:
    for name, spec in (("Craft-Valley", "craft_valley"), ("Craft-Paper1", "craft_creeper_after_table")):
        guard = Safeguard.load(SPECS / f"{spec}.toml")
        print(f"\n{name}, {spec}.toml: steps per second")
        print(f"  {'environments':>12} {'bare':>12} {'guarded':>12}   the safeguard adds")
        single = gym.make(f"safetune/{name}-v0", disable_env_checker=True).unwrapped
        watched = SafeguardWrapper(gym.make(f"safetune/{name}-v0", disable_env_checker=True).unwrapped, guard)
        row("1 (gym.Env)", seconds, [alone(single), alone(watched)], 1)
        for count in SIZES:
            bare, inner = (gym.make_vec(f"safetune/{name}-v0", num_envs=count) for _ in range(2))
            row(f"{count:,}", seconds, [side_by_side(bare), side_by_side(SafeguardVectorWrapper(inner, guard))], count)


def peers(seconds: float) -> None:
    print("\nOther gridworlds, one environment, bare: steps per second")
    for name, make in {"minigrid": minigrid, "masa-safe-rl": masa, "craftax": craftax}.items():
        stepper = make()
        if stepper is None:
            print(f"  {name}: not installed here, not measured")
        else:
            print(f"  {name:20} {rates([stepper], seconds)[0]:12,.0f}")


def minigrid() -> Stepper | None:
    if importlib.util.find_spec("minigrid") is None:
        return None
    import minigrid  # noqa: F401, registers its environments

    return alone(gym.make("MiniGrid-Empty-8x8-v0", disable_env_checker=True))


def masa() -> Stepper | None:
    """masa-safe-rl's colour gridworld (field of 9 x 9, a label for each colour)."""
    if importlib.util.find_spec("masa") is None:
        return None
    from masa.envs.tabular.colour_grid_world import ColourGridWorld

    return alone(ColourGridWorld())


def craftax() -> Stepper | None:
    """Craftax-Classic with symbolic observations on JAX's CPU, one environment, compiled step."""
    if importlib.util.find_spec("craftax") is None:
        return None
    import jax
    from craftax.craftax_env import make_craftax_env_from_name

    env = make_craftax_env_from_name("Craftax-Classic-Symbolic-v1", auto_reset=True)
    step = jax.jit(env.step)
    key = jax.random.PRNGKey(0)
    held = [env.reset(key)[1]]

    def run(steps: int) -> None:
        for _ in range(steps):
            _, held[0], *_ = step(key, held[0], 0, env.default_params)
        jax.block_until_ready(held[0])

    run(1)  # compiles
    return run


def doom(seconds: float) -> None:
    print("\nDoom, defend_the_center, 160 x 120 gray, frame skip 4, one environment: decisions per second")
    if importlib.util.find_spec("vizdoom") is None:
        print("  vizdoom: not installed here, not measured")
        return
    import vizdoom.gymnasium_wrapper  # noqa: F401, registers its environments

    guard = Safeguard.from_spec(safetune_spec())
    functions = {"shoots": lambda observation, action, info: bool(action == 3)}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # the engine leaves a file where it runs
        bare, inner = (gym.make("VizdoomDefendCenter-v1", frame_skip=4, disable_env_checker=True) for _ in range(2))
        watched = SafeguardWrapper(inner, guard, functions)
        print(f"  {'':>12} {'bare':>12} {'guarded':>12}   the safeguard adds")
        row("its wrapper", seconds, [alone(bare), alone(watched)], 1, time.perf_counter)
        bare.close()
        watched.close()


def safetune_spec() -> Any:
    from safetune.safeguard import Spec

    head = 'name = "shots"\n[propositions]\nshoots = "a shot"\n[[rule]]\nname = "no second shot at once"\n'
    return Spec.parse(head + 'always = "shoots -> !previously once[4] shoots"\n')


def row(title: str, seconds: float, steppers: list[Stepper], count: int, clock: Clock = time.process_time) -> None:
    bare, guarded = (rate * count for rate in rates(steppers, seconds, clock))
    print(f"  {title:>12} {bare:12,.0f} {guarded:12,.0f}   {100 * (bare / guarded - 1):5.1f} %")


def rates(steppers: list[Stepper], seconds: float, clock: Clock = time.process_time) -> list[float]:
    """Steps per second of each, the best of the rounds; they take turns."""
    sizes = []
    for run in steppers:
        run(3)
        start = clock()
        run(20)
        sizes.append(max(20, int(20 * seconds / ROUNDS / (clock() - start))))
    best = [0.0] * len(steppers)
    for _ in range(ROUNDS):
        for index, (run, size) in enumerate(zip(steppers, sizes, strict=True)):
            start = clock()
            run(size)
            best[index] = max(best[index], size / (clock() - start))
    return best


def alone(env: Any) -> Stepper:
    """Steps of one environment; its episodes begin anew."""
    env.reset(seed=0)
    actions = [int(action) for action in np.random.default_rng(0).integers(env.action_space.n, size=1024)]

    def run(steps: int) -> None:
        for step in range(steps):
            _, _, terminated, truncated, _ = env.step(actions[step % 1024])
            if terminated or truncated:
                env.reset()

    return run


def side_by_side(envs: Any) -> Stepper:
    """Steps of a batch that begins its episodes anew by itself."""
    envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(envs.single_action_space.n, size=(64, envs.num_envs))

    def run(steps: int) -> None:
        for step in range(steps):
            envs.step(actions[step % 64])

    return run


if __name__ == "__main__":
    main()
