"""The critic: a small head on the policy's hidden states, told the safeguard's state as well."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from safetune.text import TokenSafeguard

# A spec of more memory than this is described to the critic by its distances alone.
MAX_SPEC_STATES = 64
DISTANCE_SCALES = (1.0, 4.0, 16.0)


def state_features(tokens: TokenSafeguard) -> NDArray[np.float32]:
    """(S, F) what the critic sees of each state: the spec's state one-hot, and exp(-d/c) of the distance d in bytes.

    The distances say how far a half-written match has come, at three scales c.
    """
    distance = tokens.distance
    near = [np.exp(-np.where(np.isinf(distance), np.inf, distance) / scale) for scale in DISTANCE_SCALES]
    columns = np.stack(near, axis=1)
    n_spec = int(tokens.spec_state.max()) + 1
    if n_spec <= MAX_SPEC_STATES:
        columns = np.concatenate([np.eye(n_spec)[tokens.spec_state], columns], axis=1)
    return columns.astype(np.float32)


class ValueHead(nn.Module):
    """Value of a token position: LayerNorm on the hidden state, one hidden layer, one number.

    Args:
        hidden_size: width H of the policy's hidden states.
        n_features: number F of safeguard features.
        width: width of the hidden layer.
        n_classes: number U of token classes.

    Attributes:
        class_counts: (U,) tokens of each class seen in training, for the `value` potential. Kept here because it is
            learnt from the same completions, and saved and loaded with the head.
    """

    class_counts: Tensor

    def __init__(self, hidden_size: int, n_features: int, width: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("class_counts", torch.zeros(n_classes, dtype=torch.float64))
        self.norm = nn.LayerNorm(hidden_size)
        self.body = nn.Linear(hidden_size + n_features, width)
        self.out = nn.Linear(width, 1)
        # Values start at zero, so that the first advantages are the returns themselves.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, hidden: Tensor, features: Tensor) -> Tensor:
        """(B, T, H) hidden states and (B, T, F) features to (B, T) values, in the head's own precision."""
        weight = self.body.weight
        joined = torch.cat([self.norm(hidden.to(weight.dtype)), features.to(weight)], dim=-1)
        return self.out(torch.tanh(self.body(joined))).squeeze(-1)
