"""What a game recipe may say, and what it is told where it is wrong."""

from collections.abc import Callable

import gymnasium as gym
import pytest

pytest.importorskip("stable_baselines3")

from safetune.errors import RecipeError, SafetuneError
from safetune.games.agents.arguments import ALGORITHMS, algorithm_class, argument_types, gamma_of, policy_name
from safetune.games.prepare import read_plan
from safetune.recipe import GameRecipe

Make = Callable[..., GameRecipe]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_has_its_class_and_a_discount(make_recipe: Make, name: str) -> None:
    recipe = make_recipe(f"agent.algorithm={name}")
    assert "gamma" in argument_types(algorithm_class(recipe))
    assert 0 < gamma_of(recipe) < 1


def test_a_class_that_hands_arguments_on_takes_those_of_its_base(make_recipe: Make) -> None:
    types = argument_types(algorithm_class(make_recipe("agent.algorithm=ppo-lagrangian")))
    assert types["cost_limit"] is float
    assert types["n_steps"] is int


def test_the_learners_discount_is_the_shapings(make_recipe: Make) -> None:
    assert read_plan(make_recipe("trainer.gamma=0.8")).reward.gamma == 0.8
    assert read_plan(make_recipe()).reward.gamma == 0.99  # the host's own default
    assert read_plan(make_recipe("agent.algorithm=tabular-q", "trainer={}")).reward.gamma == 0.9


def test_the_policy_fits_the_observations(make_recipe: Make) -> None:
    recipe = make_recipe()
    image, vector = gym.spaces.Box(0, 255, (48, 64, 3), "uint8"), gym.spaces.Box(0, 1, (4,))
    assert policy_name(recipe, vector) == "MlpPolicy"
    assert policy_name(recipe, image) == "CnnPolicy"
    assert policy_name(recipe, gym.spaces.Dict(observation=image, safeguard=vector)) == "MultiInputPolicy"
    assert policy_name(make_recipe("agent.algorithm=recurrent-ppo"), vector) == "MlpLstmPolicy"
    assert policy_name(make_recipe("trainer.policy=CnnPolicy"), image) == "CnnPolicy"


def test_the_learner_is_built_as_the_recipe_says(make_recipe: Make) -> None:
    learner = read_plan(
        make_recipe('trainer.policy_kwargs={net_arch = [8], activation_fn = "ReLU"}', "trainer.ent_coef=0.02")
    ).learner()
    model = learner.model  # type: ignore[attr-defined]
    assert model.device.type == "cpu"
    assert model.ent_coef == 0.02
    assert model.batch_size == 64
    assert model.policy.mlp_extractor.policy_net[0].out_features == 8
    assert type(model.policy.mlp_extractor.policy_net[1]).__name__ == "ReLU"
    small = read_plan(make_recipe("trainer.n_steps=4")).learner()
    assert small.model.batch_size == 16  # type: ignore[attr-defined] # a rollout is shorter than the host's default


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("trainer.learning_rte=1e-4",), "'learning_rte' is not an argument of PPO. Did you mean 'learning_rate'?"),
        (("trainer.n_steps=1.5",), "trainer.n_steps: got 1.5, expected int"),
        (("trainer.seed=3",), "'seed' is decided by the recipe's 'seed'"),
        (("trainer.gamma=1.5",), "trainer.gamma: got 1.5, expected a number in [0, 1]"),
        (("trainer.policy=CnPolicy",), "trainer.policy: got 'CnPolicy', expected one of 'CnnPolicy', "),
        (
            ("trainer.policy_kwargs={activation_fn = 'Rely'}",),
            "activation_fn: got 'Rely', expected the name of",
        ),
        (("trainer.batch_size=1",), "[trainer]: `batch_size` must be greater than 1"),
        (("agent.algorithm=ppo-lagrangian",), "set form = 'sparse' and weight = 0"),
        (("agent.algorithm=tabular-q",), "'n_steps' is not an argument of QSettings"),
        (("agent.algorithm=tabular-q", "trainer={alpha = 2.0}"), "trainer.alpha: got 2.0, expected a number in [0, 1]"),
        (("reward.form=bonus",), "reward.form: 'bonus' ends the episode at a violation"),
        (("env.id=CartPol-v1",), "env.id: unknown environment 'CartPol-v1'. Did you mean 'CartPole-v1'?"),
        (("env.id=no_such_module:X-v0",), "env.id: cannot import 'no_such_module'"),
        (("env.options={spede = 2}",), "env.options: tests.games.agents.toy:toy/Corridor-v0 does not take them"),
        (("env.labeller=craft",), "expected a Craft environment, got Corridor"),
        (("env.labeller=json:nothing",), "labeller: 'json' has no function 'nothing'"),
    ],
)
def test_what_is_wrong_is_said(make_recipe: Make, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(SafetuneError) as caught:
        read_plan(make_recipe(*overrides)).learner()
    assert message in str(caught.value)
    if isinstance(caught.value, RecipeError):
        assert str(caught.value).startswith("command line: ") or "corridor.toml" in str(caught.value)


def test_masks_need_foresight(make_recipe: Make) -> None:
    recipe = make_recipe("agent.algorithm=maskable-ppo", "env.labeller=tests.games.agents.toy:blind_labeller")
    with pytest.raises(RecipeError, match="'maskable-ppo' needs a labeller that can foresee"):
        read_plan(recipe).learner()
