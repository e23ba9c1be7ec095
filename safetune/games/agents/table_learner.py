"""Tabular Q-learning as a run needs it: one table, built from a recipe, saved and taken up."""

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from safetune.errors import GameError, RunError
from safetune.games.agents.recorder import Recorder
from safetune.games.agents.tabular import QSettings, TabularQ
from safetune.games.evaluate import Tally
from safetune.games.vector import SafeguardVectorWrapper
from safetune.recipe import GameRecipe, fault
from safetune.run.checkpoints import read_state, write_state

TABLE = "table.safetensors"
_REPORTS = 200  # lines of metrics in a run
_ALGORITHM = "tabular-q"


class TableLearner:
    """One table, learnt by all environments of the recipe."""

    def __init__(self, recipe: GameRecipe, envs: SafeguardVectorWrapper) -> None:
        self.recipe, self.envs, self.steps, self.episodes = recipe, envs, 0, 0
        if not isinstance(envs.single_action_space, spaces.Discrete):
            raise GameError(f"tabular-q: got actions {envs.single_action_space}, expected Discrete ones")
        try:
            settings = QSettings(**recipe.trainer)
        except ValueError as error:
            raise fault(recipe, f"trainer.{error}") from error
        tables = np.zeros(envs.num_envs, dtype=np.int64)
        n_actions = int(envs.single_action_space.n)
        self.table = TabularQ(envs.single_observation_space, n_actions, settings, tables, recipe.seed)
        self.table.begin_stage(envs.guard.n_states)

    @property
    def rollout(self) -> int:
        """Steps between two updates."""
        return self.envs.num_envs

    def learn(self, total: int, recorder: Recorder) -> None:
        """Learn until `total` steps are done."""
        recorder.start(self.steps, self.episodes)
        envs, table = self.envs, self.table
        tally, every = Tally(envs.num_envs, len(envs.guard.rules)), max(1, total // _REPORTS)
        due = self.steps + every
        seeds = np.random.SeedSequence([self.recipe.seed, self.steps])
        observations, _ = envs.reset(seed=int(seeds.generate_state(1)[0]) >> 1)
        rows = table.rows(observations, envs.state)
        table.meet(rows)
        while self.steps < total:
            actions = table.explore(rows)
            observations, rewards, terminated, truncated, infos = envs.step(actions)
            following = table.rows(observations, infos["safeguard"]["state"])
            table.meet(following, ~terminated)
            table.learn(rows, actions, rewards, following, terminated, None)
            self.steps += envs.num_envs
            ended = terminated | truncated
            recorder.add(episode for _, episode in tally.add(infos, ended))
            if ended.any():
                observations, _ = envs.reset(options={"reset_mask": ended})
                following = table.rows(observations, envs.state)
                table.meet(following)
            rows = following
            if self.steps >= due or self.steps >= total:
                due = self.steps + every
                rows_met, rate = int(table.stages[0].met.sum()), tally.violations_per_1k_steps()
                recorder.update(self.steps, {"violations_per_1k_steps": rate, "rows_met": rows_met})
                self.episodes = recorder.episodes
                recorder.checkpoint(self.steps, self.save)

    def save(self, folder: Path) -> None:
        """Write all that `load` needs to go on."""
        self.save_policy(folder)
        counts = self.envs.label_counts
        state = {
            "algorithm": _ALGORITHM,
            "steps": self.steps,
            "episodes": self.episodes,
            "random": self.table.rng.bit_generator.state,
            "label_counts": None if counts is None else counts.tolist(),
        }
        write_state(folder, state)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote."""
        self.load_policy(folder)
        state = read_state(folder)
        self.steps, self.episodes = int(state["steps"]), int(state["episodes"])
        self.table.rng.bit_generator.state = state["random"]
        self.table.draw_anew()
        if state["label_counts"] is not None:
            self.envs.label_counts = np.array(state["label_counts"], dtype=np.int64)

    def save_policy(self, folder: Path) -> None:
        """Write the table alone."""
        from safetensors.numpy import save_file

        stage = self.table.stages[0]
        save_file({"values": stage.values, "met": stage.met.astype(np.uint8)}, folder / TABLE)

    def load_policy(self, folder: Path) -> None:
        """Read a table that `save_policy` wrote."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path, stage = folder / TABLE, self.table.stages[0]
        try:
            tensors = load_file(path)
            values, met = tensors["values"], tensors["met"].astype(np.bool_)
        except (OSError, SafetensorError, KeyError) as error:
            raise RunError(f"{path}: cannot load the agent: {error}") from error
        if values.shape != stage.values.shape or met.shape != stage.met.shape:
            raise RunError(f"{path}: cannot load the agent: a table {values.shape}, expected {stage.values.shape}")
        stage.values, stage.met = values.copy(), met.copy()

    def seed(self, seed: int) -> None:
        """Seed the exploration; the environments are seeded when they are reset."""
        self.table.rng = np.random.default_rng(seed)
        self.table.draw_anew()

    def actor(self, deterministic: bool) -> Any:
        """The greedy policy, or the one that explores as in training."""
        greedy, table = self.table.tested(), self.table

        def explore(observations: Any, begun: Any, states: NDArray[np.int64], masks: Any) -> NDArray[np.int64]:
            return table.mix(greedy(observations, begun, states, masks))

        return greedy if deterministic else explore
