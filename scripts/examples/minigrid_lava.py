#!/usr/bin/env python
"""MiniGrid under a safeguard: PPO learns to cross a gap in lava, with the spec's rules in its reward and without.

Lava ends an episode here, so an agent learns to keep out of it in time, whatever it is told: what the rules save is
the violations on the way. Needs `pip install -e '.[games]' minigrid`; takes some minutes on one core.
"""

import argparse
from pathlib import Path
from typing import Any

import gymnasium as gym
import minigrid  # registers the environments  # noqa: F401
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from minigrid.wrappers import ImgObsWrapper
from stable_baselines3 import PPO

from safetune.games import RewardSettings, SafeguardVectorWrapper
from safetune.games.minigrid import MiniGridFacts
from safetune.games.sb3 import SB3VecEnv
from safetune.safeguard import Safeguard

SPEC = Path(__file__).parents[2] / "specs" / "minigrid_lava_and_doors.toml"


def main() -> None:
    """Train both agents and play episodes with each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="MiniGrid-LavaGapS6-v0", help="any MiniGrid id")
    parser.add_argument("--steps", type=int, default=30_000, help="environment steps of each training")
    parser.add_argument("--weight", type=float, default=0.15, help="reward lost per unit of cost")
    parser.add_argument("--episodes", type=int, default=100, help="episodes played afterwards")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    guard = Safeguard.load(SPEC)
    for weight, name in ((0.0, "unguarded"), (args.weight, "guarded")):
        envs = batch(args.env, guard, weight)
        envs.seed(args.seed)
        agent = PPO("MultiInputPolicy", envs, n_steps=128, batch_size=256, ent_coef=0.01, seed=args.seed, device="cpu")
        training = learn(agent, args.steps)
        broken = sum(episode["violations"] for episode in training)
        print(f"{name}: {broken} violations in {len(training)} episodes of training")
        told = play(agent, batch(args.env, guard, weight), args.episodes, seed=args.seed + 1000)
        mean = {key: sum(episode[key] for episode in told) / len(told) for key in ("r", "violations", "l")}
        print(f"  then: return {mean['r']:.2f}, violations {mean['violations']:.2f}, {mean['l']:.0f} steps an episode")


def learn(agent: PPO, steps: int) -> list[dict[str, Any]]:
    """Train; the statistics of the episodes on the way."""
    told: list[dict[str, Any]] = []

    def note(step: dict[str, Any], _: Any) -> bool:
        told.extend(ended(step["infos"]))
        return True

    agent.learn(steps, callback=note)
    return told


def batch(env_id: str, guard: Safeguard, weight: float, count: int = 8) -> SB3VecEnv:
    """Environments side by side; without a weight the safeguard watches and says nothing."""

    def make() -> gym.Env[Any, Any]:
        return gym.wrappers.FlattenObservation(ImgObsWrapper(MiniGridFacts(gym.make(env_id))))

    envs = SyncVectorEnv([make] * count, autoreset_mode=AutoresetMode.DISABLED)
    reward = RewardSettings(form="potential" if weight else "sparse", weight=weight)
    return SB3VecEnv(SafeguardVectorWrapper(envs, guard, reward=reward, observe="danger"))


def play(agent: PPO, envs: SB3VecEnv, episodes: int, seed: int) -> list[dict[str, Any]]:
    """The statistics of episodes played with actions drawn from the policy."""
    envs.seed(seed)
    observations, told = envs.reset(), []
    while len(told) < episodes:
        observations, _, _, infos = envs.step(agent.predict(observations)[0])
        told += ended(infos)
    return told[:episodes]


def ended(infos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The statistics of the episodes that ended in a step."""
    return [info["episode"] for info in infos if info]


if __name__ == "__main__":
    main()
