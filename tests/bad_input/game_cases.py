"""Mistakes with games, in small ones that are right but for one thing."""

from tests.bad_input.case import Case

LAVA = """\
name = "no-lava"
[propositions]
lava = "stands in lava"
[[rule]]
name = "no lava"
always = "!lava"
[bind.craft]
lava = { cell = "lava" }
[bind.doom]
lava = { variable = "HEALTH", below = 1 }
"""
GAME = """\
kind = "game"
name = "tiny-game"
spec = "lava.toml"
[env]
id = "safetune/Craft-Paper1-v0"
count = 2
[agent]
algorithm = "ppo"
steps = 64
[trainer]
n_steps = 16
[evaluate]
episodes = 2
"""
DOOM = GAME.replace("Craft-Paper1-v0", "Doom-HealthGathering-v0").replace("count = 2", "count = 1")
OWN = GAME.replace('"safetune/Craft-Paper1-v0"', '"own_game:own/Game-v0"\nlabeller = "own_game:labeller"')
# A module of the user's own: a game of two cells that goes wrong where its options say so.
OWN_GAME = """\
import os, signal
from pathlib import Path
import gymnasium as gym
from safetune.games.doom.env import DoomEnv

class Game(gym.Env):
    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)

    def __init__(self, nan_at=0):
        self.nan_at, self.steps = nan_at, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 5
        return 0, {}

    def step(self, action):
        self.steps += 1
        self.left -= 1
        return int(action), float("nan") if self.steps == self.nan_at else 0.0, False, self.left == 0, {}

class Crash(DoomEnv):
    def step(self, action):
        self.made = getattr(self, "made", 0) + 1
        if self.made == 3:  # as if the system had ended the engine
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    called, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                except OSError:  # it has gone meanwhile
                    continue
                if "vizdoom" in called and int(rest.split()[1]) == os.getpid():
                    os.kill(int(entry.name), signal.SIGKILL)
        return super().step(action)

class Labeller:
    def __init__(self, guard, name):
        self.guard, self.name = guard, name

    def labels(self, observation, action, info):
        return self.guard.encode({self.name} if action else ())

def labeller(guard, env):
    return Labeller(guard, "lava")

def wrong_labeller(guard, env):
    return Labeller(guard, "lva")

for name, cls in (("own/Game-v0", Game), ("own/Crash-v0", Crash)):
    if name not in gym.registry:
        gym.register(name, cls)
"""
MAP = """\
steps = 10
[cells]
L..
.T.
"""
GAME_FILES: dict[str, str | bytes] = {
    "lava.toml": LAVA,
    "game.toml": GAME,
    "doom.toml": DOOM,
    "own.toml": OWN,
    "own_game.py": OWN_GAME,
    "start.map": MAP,
}
DRY, TRAIN, OWN_TRAIN = "train game.toml --dry-run", "train game.toml --run run", "train own.toml --run run"


def changed(name: str, *changes: str) -> dict[str, str | bytes]:
    """The right files with each `old => new` done in one of them."""
    text = str(GAME_FILES[name])
    for change in changes:
        old, new = change.split(" => ")
        assert old in text, f"{old!r} is not there to be changed"
        text = text.replace(old, new)
    return {**GAME_FILES, name: text}


GAME_CASES = (
    # games
    Case(
        "a game's spec that binds an unknown cell",
        DRY,
        ("lava.toml: bind.craft.lava.cell: unknown cell 'lva'", "Did you mean 'lava'?"),
        changed("lava.toml", 'cell = "lava" => cell = "lva"'),
    ),
    Case(
        "a game's spec that binds an unknown proposition",
        DRY,
        ("bind.craft.lavva: unknown proposition 'lavva'", "Did you mean 'lava'?"),
        changed("lava.toml", '[bind.craft] => [bind.craft]\nlavva = { cell = "lava" }'),
    ),
    Case(
        "a spec that does not bind the game's world",
        DRY,
        ("lava.toml: no [bind.craft] table",),
        changed("lava.toml", "[bind.craft] => [bind.text]", '{ cell = "lava" } => { regex = "lava" }'),
    ),
    Case(
        "a game variable that Doom does not have",
        "train doom.toml --dry-run",
        ("bind.doom.lava.variable: unknown variable 'HELTH'", "Did you mean 'HEALTH'?"),
        changed("lava.toml", "HEALTH => HELTH"),
    ),
    Case(
        "a labeller that names an unknown proposition",
        OWN_TRAIN,
        ("unknown proposition 'lva'", "Did you mean 'lava'?"),
        changed("own.toml", "own_game:labeller => own_game:wrong_labeller"),
    ),
    Case(
        "a reward that is not a number",
        OWN_TRAIN,
        ("'own/Game-v0': step 7: the reward of environment", "nan", "expected a finite number"),
        changed("own.toml", "count = 2 => count = 2\noptions = { nan_at = 7 }"),
    ),
    Case(
        "a map without a start",
        DRY,
        ("start.map: [cells] has no start",),
        changed("game.toml", 'count = 2 => count = 2\noptions = { map = "start.map" }'),
    ),
    Case(
        "a Doom engine that dies while an agent trains",
        "train doom.toml --run run",
        ("engine stopped", "run keeps all up to its last checkpoint: the same command goes on from there"),
        changed("doom.toml", "safetune/Doom-HealthGathering-v0 => own_game:own/Crash-v0"),
    ),
    Case(
        "an unknown environment",
        DRY,
        (
            "game.toml: env.id: unknown environment 'safetune/Craft-Vally-v0'",
            "you mean 'safetune/Craft-Valley-v0'?",
        ),
        changed("game.toml", "Craft-Paper1-v0 => Craft-Vally-v0"),
    ),
    Case(
        "an option that the environment does not have",
        DRY,
        ("game.toml: env.options: safetune/Craft-Paper1-v0 does not take them", "spede"),
        changed("game.toml", "count = 2 => count = 2\noptions = { spede = 2 }"),
    ),
    Case(
        "an unknown algorithm",
        DRY,
        ("game.toml: agent.algorithm: expected 'ppo', 'maskable-ppo'", "got 'pop'"),
        changed("game.toml", '"ppo" => "pop"'),
    ),
    Case(
        "an argument that the algorithm does not have",
        DRY,
        ("game.toml: [trainer]: 'n_step' is not an argument of PPO.", "Did you mean 'n_steps'?"),
        changed("game.toml", "n_steps => n_step"),
    ),
    Case(
        "an argument of the wrong type",
        DRY,
        ("game.toml: trainer.n_steps: got 1.5, expected int",),
        changed("game.toml", "n_steps = 16 => n_steps = 1.5"),
    ),
    Case(
        "a penalty in the reward of PPO-Lagrangian",
        DRY,
        ("game.toml: reward: 'ppo-lagrangian' finds the price", "set form = 'sparse' and weight = 0"),
        changed("game.toml", '"ppo" => "ppo-lagrangian"'),
    ),
    Case(
        "a bonus that does not end at a violation",
        DRY,
        ("game.toml: reward.form: 'bonus' ends the episode at a violation",),
        changed("game.toml", '[agent] => [reward]\nform = "bonus"\n[agent]'),
    ),
    Case(
        "a table of what cannot be counted",
        "train game.toml --dry-run agent.algorithm=tabular-q trainer={}",
        ("tabular-q: got observations", "expected ones that can be counted"),
        changed("game.toml", 'count = 2 => count = 2\noptions = { observation = "symbolic" }'),
    ),
)
