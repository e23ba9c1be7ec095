"""What the safeguard says of a batch of completions, as rewards per token.

`EpisodeReward` is also a TRL reward callable (one number per completion), so that TRL logs it beside the task's
rewards; the trainer then reads the tokens' rewards from `episode`.
"""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from safetune.errors import DataError
from safetune.llm.config import SafeguardPPOConfig
from safetune.safeguard.shaping import distance_potential, shaped_rewards, value_potential
from safetune.text import TokenSafeguard

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Episode:
    """A batch of B completions, padded to T tokens.

    Attributes:
        rewards: (B, T) reward of each token, before any task reward.
        states: (B, T) safeguard state before each token.
        violated: (B,) whether the completion broke a rule.
        broken: (B,) rules broken anywhere in the completion, a bit per rule.
        cost: (B,) summed cost.
        lengths: (B,) real tokens.
    """

    rewards: FloatArray
    states: IntArray
    violated: NDArray[np.bool_]
    broken: IntArray
    cost: FloatArray
    lengths: IntArray


def pad_right(rows: list[list[int]]) -> tuple[IntArray, NDArray[np.bool_]]:
    """Ragged token ids to (B, T) ids padded with 0 and the (B, T) mask of real tokens; T is at least 1."""
    width = max(1, max(map(len, rows), default=1))
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=bool)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = True
    return ids, mask


class EpisodeReward:
    """The safeguard's reward for completions, per token and summed.

    Args:
        tokens: the safeguard compiled for the policy's tokenizer.
        config: reward form, potential, weights and placement.
    """

    __name__ = "safeguard"

    def __init__(self, tokens: TokenSafeguard, config: SafeguardPPOConfig) -> None:
        self.tokens = tokens
        self.config = config
        self.potential = self._first_potential()
        self.prompt_ids: list[list[int]] = []
        self.seconds = 0.0  # spent in scoring, for the share of a training step that the safeguard takes
        self.episode: Episode | None = None

    def _first_potential(self) -> FloatArray:
        if self.config.potential == "distance":
            return distance_potential(self.tokens.distance, self.config.kappa)
        return self.learnt_potential(np.zeros(len(self.tokens.maps)))

    def learnt_potential(self, class_counts: FloatArray) -> FloatArray:
        """(S,) minus the expected cost of a completion going on from each state, by how often token classes were seen.

        Args:
            class_counts: (U,) tokens of each class seen in completions so far; a token's worth of every token of the
                vocabulary being equally likely is added, so that the first estimate exists.
        """
        sizes = np.bincount(self.tokens.token_class, minlength=len(class_counts))
        weights = class_counts + sizes / sizes.sum()
        expected = value_potential(
            self.tokens.maps.T,
            self.tokens.class_cost().T,
            weights / weights.sum(),
            self.config.gamma,
            horizon=self.config.max_completion_length or 256,
        )
        return self.config.violation_weight * expected

    def count_classes(self, completion_ids: list[list[int]]) -> FloatArray:
        """(U,) tokens of each class in these completions."""
        ids, mask = pad_right(completion_ids)
        return np.bincount(self.tokens.token_class[ids[mask]], minlength=len(self.tokens.maps)).astype(np.float64)

    def __call__(self, completion_ids: list[list[int]], **_: object) -> list[float]:
        """TRL's reward signature: one number per completion; `prompt_ids` must have been set for this batch."""
        started = perf_counter()
        self.episode = self.score(self.prompt_ids, completion_ids)
        self.seconds += perf_counter() - started
        return [float(total) for total in self.episode.rewards.sum(axis=1)]

    def score(self, prompt_ids: list[list[int]], completion_ids: list[list[int]]) -> Episode:
        """Read the prompts, follow the completions, shape the rewards.

        Raises:
            DataError: as many prompts as completions were expected.
        """
        if len(prompt_ids) != len(completion_ids):
            raise DataError(f"{len(prompt_ids)} prompts for {len(completion_ids)} completions; expected one each")
        start = self.tokens.read(*pad_right(prompt_ids))
        ids, mask = pad_right(completion_ids)
        trace = self.tokens.trace(ids, mask, state=start)
        rewards = shaped_rewards(
            trace.cost,
            trace.broken,
            form=self.config.reward_form,
            weight=self.config.violation_weight,
            bonus=self.config.safe_bonus,
            gamma=self.config.gamma,
            phi=self.potential[trace.states],
            mask=mask,
        )
        lengths = mask.sum(axis=1)
        if self.config.reward_placement == "terminal":
            rewards = at_last_token(rewards.sum(axis=1), lengths, rewards.shape[1])
        return Episode(
            rewards=rewards,
            states=trace.states[:, :-1].astype(np.int64),
            violated=(trace.broken != 0).any(axis=1),
            broken=np.bitwise_or.reduce(trace.broken, axis=1),
            cost=trace.cost.sum(axis=1),
            lengths=lengths,
        )


def at_last_token(totals: FloatArray, lengths: IntArray, width: int) -> FloatArray:
    """(B, width) zeros but for each row's last real token, which gets the row's total; empty rows get nothing."""
    out = np.zeros((len(totals), width))
    rows = np.flatnonzero(lengths > 0)
    out[rows, lengths[rows] - 1] = totals[rows]
    return out
