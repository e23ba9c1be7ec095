"""Generalised advantage estimation over padded batches of completions.

Notation: B completions, T tokens; `mask` (B, T) is 1 on real tokens, a prefix of every row. A completion ends for
good at its last real token, so the value after it is 0.
"""

import torch
from torch import Tensor


def generalised_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Advantages and returns, both (B, T) (Schulman et al. 2016, eq. 16).

    delta_t = r_t + gamma V_{t+1} - V_t and A_t = delta_t + gamma lam A_{t+1}; the return is A_t + V_t, the critic's
    target. Padding gets zeros.
    """
    real = mask.to(values.dtype)
    values = values * real
    advantages = torch.zeros_like(values)
    running = torch.zeros_like(values[:, 0])
    after = torch.zeros_like(running)
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * after - values[:, t]
        running = (delta + gamma * lam * running) * real[:, t]
        advantages[:, t] = running
        after = values[:, t]
    return advantages, (advantages + values) * real


def whiten(advantages: Tensor, mask: Tensor, totals: Tensor, floor: float = 0.0) -> Tensor:
    """Advantages with mean 0 and variance 1 over real tokens, divided by `floor` at the least.

    Without the floor a batch in which next to nothing is broken would have the critic's noise blown up to unit
    variance, and the policy would drift from a rule it already keeps.

    Args:
        advantages: (B, T).
        mask: (B, T), 1 on real tokens.
        totals: (3,) sum, sum of squares and count over the real tokens of every process, from `moments`.
        floor: least divisor, in units of reward.
    """
    count = totals[2].clamp(min=1.0)
    mean = totals[0] / count
    variance = (totals[1] / count - mean**2).clamp(min=0.0)
    return (advantages - mean) / (variance + 1e-8).sqrt().clamp(min=floor) * mask


def moments(advantages: Tensor, mask: Tensor) -> Tensor:
    """(3,) sum, sum of squares and count of the advantages on real tokens; they add up over processes."""
    real = advantages * mask
    return torch.stack([real.sum(), (real**2).sum(), mask.sum().to(real.dtype)])


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """(B, T) half the larger of the plain and the clipped squared error, as in PPO's reference implementation."""
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (clipped - returns) ** 2)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over real tokens; 0 where the returns do not vary."""
    real = mask.bool()
    spread = returns[real].var(unbiased=False)
    error = (returns[real] - values[real]).var(unbiased=False)
    return torch.where(spread > 1e-12, 1.0 - error / spread.clamp(min=1e-12), torch.zeros_like(spread))
