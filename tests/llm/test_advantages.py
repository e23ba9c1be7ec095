"""Generalised advantages against a direct sum, and the laws of the value loss and the whitening."""

import torch

from safetune.llm.advantages import clipped_value_loss, generalised_advantages, moments, whiten


def _batch(seed=0, rows=5, width=7):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, width + 1, (rows,), generator=generator)
    mask = (torch.arange(width)[None, :] < lengths[:, None]).double()
    rewards = torch.randn(rows, width, generator=generator, dtype=torch.double) * mask
    values = torch.randn(rows, width, generator=generator, dtype=torch.double)
    return rewards, values, mask, lengths


def test_equals_the_direct_sum_of_discounted_errors():
    rewards, values, mask, lengths = _batch()
    gamma, lam = 0.9, 0.8
    advantages, returns = generalised_advantages(rewards, values, mask, gamma, lam)
    for b, length in enumerate(lengths.tolist()):
        padded = torch.cat([values[b, :length], torch.zeros(1, dtype=torch.double)])
        delta = rewards[b, :length] + gamma * padded[1:] - padded[:-1]
        for t in range(length):
            expected = sum((gamma * lam) ** k * delta[t + k] for k in range(length - t))
            assert torch.isclose(advantages[b, t], expected)
            assert torch.isclose(returns[b, t], expected + values[b, t])
    assert (advantages[mask == 0] == 0).all()
    assert (returns[mask == 0] == 0).all()


def test_with_lambda_one_the_return_is_the_discounted_reward_to_go():
    rewards, values, mask, _ = _batch(1)
    _, returns = generalised_advantages(rewards, values, mask, 1.0, 1.0)
    to_go = rewards.flip(1).cumsum(1).flip(1) * mask
    assert torch.allclose(returns, to_go)


def test_padding_never_leaks_into_real_tokens():
    rewards, values, mask, _ = _batch(2)
    noise = torch.where(mask == 0, torch.full_like(values, 1e6), values)
    plain, _ = generalised_advantages(rewards, values, mask, 1.0, 0.95)
    noisy, _ = generalised_advantages(rewards, noise, mask, 1.0, 0.95)
    assert torch.equal(plain, noisy)


def test_whitening_counts_real_tokens_only():
    rewards, _, mask, _ = _batch(3)
    white = whiten(rewards + 5.0, mask, moments(rewards + 5.0, mask))
    real = white[mask == 1]
    assert torch.isclose(real.mean(), torch.zeros((), dtype=torch.double), atol=1e-9)
    assert torch.isclose(real.var(unbiased=False), torch.ones((), dtype=torch.double), atol=1e-6)
    assert (white[mask == 0] == 0).all()


def test_moments_add_up_over_processes():
    rewards, _, mask, _ = _batch(4)
    parts = moments(rewards[:2], mask[:2]) + moments(rewards[2:], mask[2:])
    assert torch.allclose(parts, moments(rewards, mask))


def test_value_clipping_never_lowers_the_loss():
    old, new, returns = torch.zeros(1, 3), torch.tensor([[0.1, 1.0, -1.0]]), torch.ones(1, 3)
    loss = clipped_value_loss(new, old, returns, clip=0.2)
    plain = 0.5 * (new - returns) ** 2
    assert (loss >= plain - 1e-7).all()
    assert torch.isclose(loss[0, 1], torch.tensor(0.5 * 0.8**2))


def test_whitening_does_not_blow_up_noise():
    quiet = 1e-3 * torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    mask = torch.ones_like(quiet)
    assert whiten(quiet, mask, moments(quiet, mask)).abs().max() > 0.9
    assert whiten(quiet, mask, moments(quiet, mask), floor=0.2).abs().max() < 0.01
