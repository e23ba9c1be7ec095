"""PPO with a safeguard on TRL's `GRPOTrainer`: the only module that touches TRL's private hooks.

TRL generates, batches, distributes, logs and checkpoints. This subclass changes four things: rewards come per token
from the safeguard, a value head on the policy's hidden states (told the safeguard's state) replaces the group
baseline, advantages are GAE(gamma, lambda), and a clipped value loss joins the policy's. `tests/llm/test_contract.py`
says which hook moved when TRL moves one.
"""

from copy import copy
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from trl import GRPOTrainer

from safetune.errors import ModelError
from safetune.llm.advantages import clipped_value_loss, explained_variance, generalised_advantages, moments, whiten
from safetune.llm.checkpoint import load_value_head, save_value_head, write_spec
from safetune.llm.config import SafeguardPPOConfig
from safetune.llm.episode import Episode, EpisodeReward, at_last_token
from safetune.llm.tasks import FiniteReward, RewardFunction
from safetune.llm.value import ValueHead, state_features
from safetune.run.checkpoints import mark_complete
from safetune.safeguard import Safeguard
from safetune.text import TokenSafeguard

VALUE_HEAD = "value_head"


class SafeguardPPOTrainer(GRPOTrainer):
    """Fine-tune a causal language model against a safeguard, with LoRA or in full.

    Args:
        model: a model or its name, as for `GRPOTrainer`.
        guard: the safeguard, or the safeguard compiled for the tokenizer.
        args: the configuration.
        train_dataset: rows with a `prompt` column.
        processing_class: the policy's tokenizer.
        reward_funcs: task rewards, plain functions of TRL's reward signature; each is added at the completion's last
            token with its weight from `args.reward_weights` (one weight per task reward).
        **kwargs: passed on to `GRPOTrainer` (`peft_config`, `callbacks`, ...).

    Raises:
        DataError: a task reward returned NaN or an infinity.
        ModelError: no tokenizer was given.
    """

    _tag_names = ("trl", "safetune", "ppo")

    def __init__(
        self,
        model: Any,
        guard: Safeguard | TokenSafeguard,
        args: SafeguardPPOConfig,
        train_dataset: Dataset,
        processing_class: PreTrainedTokenizerBase,
        reward_funcs: RewardFunction | list[RewardFunction] | None = None,
        **kwargs: Any,
    ) -> None:
        if processing_class is None:
            raise ModelError("SafeguardPPOTrainer: processing_class is None; expected the policy's tokenizer")
        tokens = guard if isinstance(guard, TokenSafeguard) else TokenSafeguard.compile(guard, processing_class)
        tasks = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs] if reward_funcs else []
        self.safeguard_reward = EpisodeReward(tokens, args)
        self._task_totals: Tensor | None = None
        self._hidden: list[Tensor] = []
        self._policy_hidden: Tensor | None = None
        self._keep = 0
        self._feature_seconds = self._step_seconds = 0.0
        if args.reward_weights is not None:
            args = copy(args)  # the caller may use its own for another trainer
            args.reward_weights = [1.0, *args.reward_weights]
        super().__init__(
            model=model,
            reward_funcs=[self.safeguard_reward, *map(FiniteReward, tasks)],
            args=args,
            train_dataset=train_dataset,
            processing_class=processing_class,
            **kwargs,
        )
        self._attach_value_head()

    def _attach_value_head(self) -> None:
        """Make the head a submodule of the policy, so that optimiser, device placement and DDP see it."""
        causal_lm = self._causal_lm()
        features = state_features(self.safeguard_reward.tokens)
        width = causal_lm.config.get_text_config().hidden_size
        n_classes = len(self.safeguard_reward.tokens.maps)
        head = ValueHead(width, features.shape[1], self.args.value_hidden_size, n_classes)
        self.model.add_module(VALUE_HEAD, head.to(next(self.model.parameters()).device))
        self._features = torch.from_numpy(features)
        causal_lm.base_model.register_forward_hook(self._catch_hidden)

    def _causal_lm(self) -> nn.Module:
        model = self.accelerator.unwrap_model(self.model)
        return model.get_base_model() if hasattr(model, "peft_config") else model

    @property
    def timings(self) -> dict[str, float]:
        """Seconds spent in training steps, generation included, and in the safeguard's part of them."""
        return {"step": self._step_seconds, "safeguard": self.safeguard_reward.seconds + self._feature_seconds}

    @property
    def value_head(self) -> ValueHead:
        return getattr(self.accelerator.unwrap_model(self.model), VALUE_HEAD)

    # ---- hidden states: caught where TRL scores completions -------------------------------------------------------

    def _catch_hidden(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self._keep:
            self._hidden.append(output.last_hidden_state[:, -self._keep - 1 : -1])

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        self._hidden, self._keep = [], logits_to_keep
        try:
            scored = super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
            )
        finally:
            self._keep = 0
        hidden, self._hidden = torch.cat(self._hidden), []
        # After a generation TRL scores the old policy first, then the reference: keep the first.
        if self._policy_hidden is None:
            self._policy_hidden = hidden
        return scored

    def _take_hidden(self) -> Tensor:
        hidden, self._policy_hidden = self._policy_hidden, None
        if hidden is None:
            raise RuntimeError("TRL scored no completions: _get_per_token_logps_and_entropies was not called")
        return hidden

    # ---- rollouts: rewards, values, advantages --------------------------------------------------------------------

    def _generate(self, prompts: list[Any]) -> Any:
        generated = super()._generate(prompts)
        self.safeguard_reward.prompt_ids = generated[0]
        if self.args.reward_form == "potential" and self.args.potential == "value":
            self._learn_potential(generated[1])
        return generated

    def _learn_potential(self, completion_ids: list[list[int]]) -> None:
        """Estimate the potential from all completions before these, then count these.

        The potential of a batch never depends on the batch, so it is fixed within every episode (Devlin and Kudenko
        2012) and the shaping's guarantee holds.
        """
        started = perf_counter()
        counts = self.value_head.class_counts
        self.safeguard_reward.potential = self.safeguard_reward.learnt_potential(counts.cpu().numpy())
        if self.model.training:
            seen = torch.from_numpy(self.safeguard_reward.count_classes(completion_ids)).to(counts.device)
            counts += self.accelerator.reduce(seen, reduction="sum")
        self._feature_seconds += perf_counter() - started

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        first = self.accelerator.process_index * len(prompts)
        own = rewards[first : first + len(prompts), 1:]
        self._task_totals = (own * self.reward_weights.to(own.device)[1:]).nansum(dim=1)
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        self._policy_hidden = None
        output = super()._generate_and_score_completions(inputs)
        if "old_per_token_logps" not in output:
            self._policy_hidden = None
            output["old_per_token_logps"] = self._score_policy(output)
        started = perf_counter()
        width = output["completion_ids"].shape[1]
        episode = self._take_episode()
        rewards = self._token_rewards(episode, width)
        features = self._features[torch.from_numpy(_widen(episode.states, width))]
        self._feature_seconds += perf_counter() - started
        with torch.no_grad():
            device = output["completion_ids"].device
            mask = output["completion_mask"].float()
            values = self.value_head(self._take_hidden(), features.to(device)) * mask
            advantages, returns = generalised_advantages(
                rewards.to(values), values, mask, self.args.gamma, self.args.gae_lambda
            )
            if self.args.whiten_advantages:
                totals = self.accelerator.reduce(moments(advantages, mask), reduction="sum")
                advantages = whiten(advantages, mask, totals, self.args.whiten_floor)
        output |= {
            "advantages": advantages,
            "returns": returns,
            "old_values": values,
            "state_features": features.to(device),
        }
        self._log_episode(episode, values, returns, mask)
        return output

    def _take_episode(self) -> Episode:
        episode, self.safeguard_reward.episode = self.safeguard_reward.episode, None
        if episode is None:
            raise RuntimeError("TRL did not call the safeguard's reward: _calculate_rewards moved")
        return episode

    def _score_policy(self, output: dict[str, Any]) -> Tensor:
        """The policy's own scoring pass, for the settings in which TRL saves it."""
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
        mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
        training = self.model.training
        size = self.args.per_device_train_batch_size if training else self.args.per_device_eval_batch_size
        with torch.no_grad():
            return self._get_per_token_logps_and_entropies(
                self.model, ids, mask, output["completion_ids"].shape[1], batch_size=size
            )[0]

    def _token_rewards(self, episode: Episode, width: int) -> Tensor:
        """(B, width) the safeguard's rewards, with the task's at the last token."""
        rewards = _widen(episode.rewards, width)
        assert self._task_totals is not None
        rewards = rewards + at_last_token(self._task_totals.double().cpu().numpy(), episode.lengths, width)
        return torch.from_numpy(rewards)

    def _log_episode(self, episode: Episode, values: Tensor, returns: Tensor, mask: Tensor) -> None:
        metrics = self._metrics["train" if self.model.training else "eval"]
        device = values.device
        bits = torch.from_numpy(episode.broken).to(device)
        rates = [torch.from_numpy(episode.violated).to(device).float().mean()]
        rates += [((bits >> i) & 1).float().mean() for i in range(len(self.safeguard_reward.tokens.guard.rules))]
        rates += [torch.tensor(episode.cost.mean(), dtype=torch.float32, device=device)]
        rates += [explained_variance(values, returns, mask)]
        means = self.accelerator.reduce(torch.stack(rates), reduction="mean").tolist()
        names = ["violation_rate", *(f"rule/{r.name}" for r in self.safeguard_reward.tokens.guard.rules)]
        for name, mean in zip([*names, "cost", "explained_variance"], means, strict=True):
            metrics[f"safeguard/{name}"].append(mean)

    # ---- loss -----------------------------------------------------------------------------------------------------

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        self._policy_hidden = None
        loss = super()._compute_loss(model, inputs)
        # The critic reads the policy and does not shape it: no value gradient flows into the hidden states.
        values = self.value_head(self._take_hidden().detach(), inputs["state_features"])
        mask = inputs["completion_mask"].float()
        errors = clipped_value_loss(values, inputs["old_values"], inputs["returns"], self.args.value_clip)
        value_loss = (errors * mask).sum() / mask.sum().clamp(min=1.0)
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["value_loss"].append(self.accelerator.gather(value_loss.detach()).mean().item())
        steps = self.current_gradient_accumulation_steps if mode == "train" else 1
        return loss + self.args.value_coef * value_loss / steps

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        started = perf_counter()
        loss = super().training_step(*args, **kwargs)
        self._step_seconds += perf_counter() - started
        return loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The host's optimiser, with the value head in a group of its own and at its own learning rate."""
        optimizer = super().create_optimizer(model)
        head = {id(p) for p in self.value_head.parameters()}
        if any("value_head" in group for group in optimizer.param_groups):
            return optimizer
        for group in list(optimizer.param_groups):
            own = [p for p in group["params"] if id(p) in head]
            if own:
                group["params"] = [p for p in group["params"] if id(p) not in head]
                shared = {k: v for k, v in group.items() if k != "params"}
                optimizer.add_param_group(
                    {**shared, "params": own, "lr": self.args.value_learning_rate, "value_head": True}
                )
        return optimizer

    # ---- checkpoints ----------------------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = output_dir if output_dir is not None else self.args.output_dir
        if state_dict is None:
            state_dict = self.accelerator.unwrap_model(self.model).state_dict()
        policy = {key: value for key, value in state_dict.items() if f"{VALUE_HEAD}." not in key}
        super()._save(output_dir, policy)
        save_value_head(self.value_head, Path(folder))
        write_spec(self.safeguard_reward.tokens.guard, Path(folder))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        load_value_head(self.value_head, Path(resume_from_checkpoint))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            mark_complete(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")


def _widen(array: Any, width: int) -> Any:
    """(B, T) to (B, width): TRL may pad completions to a multiple. The mask hides what is added."""
    missing = max(0, width - array.shape[1])
    return np.pad(array, [(0, 0), (0, missing)])
