"""Learners of stable-baselines3 on disk, as safetensors. Nothing is ever unpickled.

What belongs to a learner is what stable-baselines3 itself would save (`_get_torch_save_params`): modules, optimisers
and single tensors, by their attribute's path.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr, recursive_setattr
from torch import Tensor, nn

from safetune.errors import RunError

Tensors = dict[str, Tensor]

LEARNER, RANDOM = "learner.safetensors", "random.safetensors"
_SEPARATOR = "/"


def save_learner(model: BaseAlgorithm, folder: Path, *, policy_only: bool = False) -> None:
    """Write a learner's tensors into a folder that is there."""
    names, variables = (["policy"], []) if policy_only else model._get_torch_save_params()
    tensors: Tensors = {}
    for name in names:
        part = recursive_getattr(model, name)
        own = _optimizer_tensors(part) if isinstance(part, torch.optim.Optimizer) else part.state_dict()
        tensors |= {f"{name}{_SEPARATOR}{key}": value for key, value in own.items()}
    tensors |= {name: recursive_getattr(model, name) for name in variables}
    save_file({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}, folder / LEARNER)


def load_learner(model: BaseAlgorithm, folder: Path, *, policy_only: bool = False) -> None:
    """Read what `save_learner` wrote into a learner of the same make.

    Raises:
        RunError: the file is missing, damaged, or of another policy.
    """
    path = folder / LEARNER
    names, variables = (["policy"], []) if policy_only else model._get_torch_save_params()
    try:
        tensors = load_file(path, device="cpu")
        for name in names:
            part = recursive_getattr(model, name)
            own = {key.removeprefix(f"{name}{_SEPARATOR}"): tensors[key] for key in tensors if _belongs(key, name)}
            if isinstance(part, torch.optim.Optimizer):
                _load_optimizer(part, own)
            elif isinstance(part, nn.Module):
                part.load_state_dict(own)
        for name in variables:
            recursive_setattr(model, name, tensors[name].to(model.device))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise RunError(f"{path}: cannot load the agent: {error}") from error


def save_random(folder: Path) -> None:
    """Write the state of the generators that stable-baselines3 draws from."""
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    save_file(
        {
            "torch": torch.get_rng_state(),
            "numpy": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            "numpy.position": torch.tensor([int(position), int(has_gauss)], dtype=torch.int64),
            "numpy.cached": torch.tensor([float(cached)], dtype=torch.float64),
        },
        folder / RANDOM,
    )


def load_random(folder: Path) -> None:
    """Go on drawing where `save_random` was."""
    path = folder / RANDOM
    try:
        tensors = load_file(path, device="cpu")
        position, has_gauss = tensors["numpy.position"].tolist()
        keys = tensors["numpy"].numpy().astype(np.uint32)
        torch.set_rng_state(tensors["torch"])
        np.random.set_state(("MT19937", keys, position, has_gauss, float(tensors["numpy.cached"][0])))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error


def _belongs(key: str, name: str) -> bool:
    return key.partition(_SEPARATOR)[0] == name


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """`index/name` to tensor; the groups' settings come from the recipe and are not saved."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}{_SEPARATOR}{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    state: dict[int, Tensors] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(_SEPARATOR)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
