#!/usr/bin/env python
"""A safeguard over an environment of one's own: a rule, a function for each proposition, and a wrapper around it.

CartPole stands for the environment here. Nothing is trained: random actions, the reward and what was broken.
"""

import gymnasium as gym

from safetune.games import SafeguardWrapper, check_labeller
from safetune.safeguard import Safeguard, Spec

RULES = """
name = "gentle-cart"
[propositions]
fast = "the cart moves fast"
leaning = "the pole leans"
[[rule]]
name = "slow for three steps after the pole leant"
always = "fast -> !once[3] leaning"
"""
LABELS = {
    "fast": lambda observation, action, info: bool(abs(observation[1]) > 0.5),
    "leaning": lambda observation, action, info: bool(abs(observation[2]) > 0.1),
}


def main() -> None:
    """Check the labeller, then play a few episodes."""
    guard = Safeguard.from_spec(Spec.parse(RULES, "rules in own_environment.py"))
    print(check_labeller(gym.make("CartPole-v1"), guard, LABELS, steps=500))
    env = SafeguardWrapper(gym.make("CartPole-v1"), guard, LABELS, observe="danger")
    env.action_space.seed(0)
    for episode in range(3):
        _, info = env.reset(seed=episode)
        total, cost, steps, over = 0.0, 0.0, 0, False
        while not over:
            _, reward, terminated, truncated, info = env.step(env.action_space.sample())
            total, cost, steps, over = total + reward, cost + info["cost"], steps + 1, terminated or truncated
        last = guard.state_names[info["safeguard"]["state"]]
        print(f"episode {episode}: {steps} steps, cost {cost:g}, reward {total:.2f}; it ended with '{last}'")


if __name__ == "__main__":
    main()
