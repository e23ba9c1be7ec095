"""The table of mistakes: what is called, with which files, and what the message must say."""

from dataclasses import dataclass, field

from tests.bad_input.files import MACHINE, RECIPE, recipe, run_of, spec


@dataclass(frozen=True, eq=False)
class Case:
    """One mistake: the call, what its message must say, and the files that differ from the right ones above."""

    what: str
    call: str
    says: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    full_disk: bool = False


CHECK, TRAIN, DRY = "check spec.toml", "train recipe.toml", "train recipe.toml --dry-run"

CASES = (
    # specs
    Case("a spec that is not there", "check spek.toml", ("spek.toml: cannot read this spec file: No such file",)),
    Case("no TOML", CHECK, ("spec.toml: not valid TOML", "line 1"), spec('name = "no-mail" => name = no-mail')),
    Case(
        "an unknown key",
        CHECK,
        ("spec.toml: rule[0].costs: unknown key 'costs'", "Did you mean 'cost'?"),
        spec('always = "!email" => always = "!email"\ncosts = 2.0'),
    ),
    Case("a missing key", CHECK, ("rule[0].always: this key is missing",), spec('always = "!email" => cost = 1.0')),
    Case(
        "an unknown proposition",
        CHECK,
        ("rule[0].always", "unknown proposition 'emial'", "Did you mean 'email'?", "^"),
        spec('"!email" => "!emial"'),
    ),
    Case(
        "a formula with a typo",
        CHECK,
        ("rule[0].always", "!email & | email", "^"),
        spec('"!email" => "!email & | email"'),
    ),
    Case(
        "a proposition that no rule uses",
        CHECK,
        ("propositions.phone", "no rule or guard uses it"),
        spec('[[rule]] => phone = "a phone number"\n[[rule]]'),
    ),
    Case(
        "two rules of one name",
        CHECK,
        ("rule[1].name: 'no e-mail' is the name of rule[0] as well",),
        spec('[bind.text] => [[rule]]\nname = "no e-mail"\nalways = "!email"\n[bind.text]'),
    ),
    Case(
        "a cost that is not finite",
        CHECK,
        ("rule[0].cost: expected a finite number, got nan",),
        spec('always = "!email" => always = "!email"\ncost = nan'),
    ),
    Case(
        "guards that overlap",
        CHECK,
        ("overlap", "'lava'", "'suit'", "{lava, suit}"),
        spec(of=MACHINE),
    ),
    Case(
        "a rule that can never be kept",
        TRAIN,
        ("rule 'no e-mail': this rule cannot be kept", "whatever happens"),
        spec('"!email" => "email & !email"'),
    ),
    Case(
        "a product with too many states",
        CHECK,
        ("rule 'no e-mail': 8192 states", "more than 4096"),
        spec(f'"!email" => "!(email & {"previously " * 13}email)"'),
    ),
    # text bindings
    Case(
        "a regex with a backreference",
        CHECK,
        ("bind.text.email", "back-reference"),
        spec(r"\w+@\w+ => (\w)\1"),
    ),
    Case("a regex that does not parse", CHECK, ("bind.text.email", "unterminated"), spec(r"\w+@\w+ => (a")),
    Case(
        "an empty word list",
        CHECK,
        ("bind.text.email", "empty"),
        spec(r"{ regex = '\w+@\w+' } => { words = [] }"),
    ),
    Case(
        "a file of words that is not there",
        CHECK,
        ("bind.text.email", "words.txt"),
        spec(r"{ regex = '\w+@\w+' } => { words = 'words.txt' }"),
    ),
    Case(
        "an unknown key of a binding",
        CHECK,
        ("bind.text.email", "'regexp'", "Did you mean 'regex'?"),
        spec("{ regex => { regexp"),
    ),
    Case(
        "a binding of an unknown proposition",
        CHECK,
        ("bind.text.e_mail: unknown proposition 'e_mail'", "Did you mean 'email'?"),
        spec("[bind.text]\nemail => [bind.text]\ne_mail"),
    ),
    Case(
        "a spec for another world",
        TRAIN,
        ("spec.toml: no [bind.text] table", "it binds 'doom'"),
        spec("[bind.text] => [bind.doom]"),
    ),
    Case(
        "an unknown setting of text",
        CHECK,
        ("text.prompt: expected 'remember' or 'fresh', got 'forget'",),
        spec('[bind.text] => [text]\nprompt = "forget"\n[bind.text]'),
    ),
    Case(
        "a proposition that is not bound",
        CHECK,
        ("bind.text.phone: this proposition is not bound",),
        spec('[[rule]] => phone = "a phone number"\n[[rule]]', '"!email" => "!email & !phone"'),
    ),
    # recipes
    Case("a recipe that is not there", "train tiny.toml", ("tiny.toml: cannot read this recipe: No such file",)),
    Case(
        "an unknown kind of recipe",
        TRAIN,
        ("recipe.toml: kind: got 'lm', expected one of 'llm'. Did you mean 'llm'?",),
        recipe('kind = "llm" => kind = "lm"'),
    ),
    Case(
        "an unknown section",
        TRAIN,
        ("prompts: this key is missing", "prompt: unknown key 'prompt'", "Did you mean 'prompts'?"),
        recipe("[prompts] => [prompt]"),
    ),
    Case(
        "a value of the wrong type",
        TRAIN,
        ("recipe.toml: model.name: expected a string, got 3",),
        recipe('name = "pocket" => name = 3'),
    ),
    Case("a recipe's spec that is not there", "train recipe.toml spec=none.toml", ("none.toml: cannot",)),
    Case(
        "a prompt file that is not there",
        DRY,
        ("train.json", "No such file"),
        recipe("train.jsonl => train.json"),
    ),
    Case(
        "a line of prompts that is no JSON",
        DRY,
        ("train.jsonl:2: not a JSON object",),
        {"train.jsonl": '{"prompt": "a"}\n{"prompt": \n'},
    ),
    Case(
        "a line without a prompt",
        DRY,
        ("train.jsonl:1: no 'prompt'; got 'text'",),
        {"train.jsonl": '{"text": "a"}\n'},
    ),
    Case("no prompts at all", DRY, ("train.jsonl: no prompts; expected at least one",), {"train.jsonl": "\n"}),
    Case(
        "a learning rate that is not a number",
        TRAIN,
        ("recipe.toml: trainer.learning_rate: expected a finite number, got nan",),
        recipe("max_steps = 2 => learning_rate = nan"),
    ),
    Case(
        "a wrong field of the trainer",
        DRY,
        ("trainer", "'learning_rte'", "Did you mean 'learning_rate'?"),
        recipe("max_steps = 2 => learning_rte = 1e-4"),
    ),
    Case(
        "a field of the trainer that the recipe has elsewhere",
        DRY,
        ("'seed' is decided by the recipe's 'seed'",),
        recipe("max_steps = 2 => seed = 2"),
    ),
    Case(
        "a trainer's value of the wrong type",
        DRY,
        ("trainer", "max_steps"),
        recipe("max_steps = 2 => max_steps = 'two'"),
    ),
    Case(
        "a model folder without a model",
        DRY,
        ("no config.json in",),
        {**recipe('"pocket" => "./model"'), "model/readme.txt": "nothing"},
    ),
    Case(
        "a model whose weights are damaged",
        DRY,
        ("model.safetensors", "cut short"),
        {
            **recipe('"pocket" => "./model"'),
            "model/config.json": '{"model_type": "llama"}',
            "model/tokenizer.json": "{}",
            "model/model.safetensors": b"\xff" * 100,
        },
    ),
    Case(
        "a task reward that is not there",
        DRY,
        ("reward.tasks", "'json' has no function 'polite'"),
        recipe('[trainer] => [reward]\ntasks = ["json:polite"]\n[trainer]'),
    ),
    # calls
    Case("an unknown command", "trian recipe.toml", ("unknown command 'trian'", "Did you mean 'train'?")),
    Case("a missing argument", "train", ("arguments are required: RECIPE. See `safetune train --help`",)),
    Case("an unknown option", "train recipe.toml --dry", ("--dry",)),
    Case(
        "an override of an unknown key",
        "train recipe.toml lora.ranc=4",
        ("command line: lora.ranc: unknown key 'ranc'", "Did you mean 'rank'?"),
    ),
    Case("an override that is none", "train recipe.toml seed", ("got 'seed', expected key=value",)),
    Case("an override of the wrong type", "train recipe.toml seed=1.5", ("seed: expected a whole number, got 1.5",)),
    Case(
        "a run folder of another recipe",
        "train recipe.toml --run run seed=2",
        ("run: this folder holds a run of another recipe", "seed (0, not 2)", "--fresh"),
        run_of(RECIPE),
    ),
    Case("a folder that is no run", "train recipe.toml --run .", ("not a run folder", "'heldout.jsonl'")),
    Case("a run that is not there", "eval quickstart-1", ("quickstart-1: not a run folder: it has no recipe.toml",)),
    Case("a full disk", "train recipe.toml --run run", ("the disk is full", "it resumes"), full_disk=True),
    Case(
        "a trace of unknown names",
        "show spec.toml mail",
        ("unknown proposition 'mail'", "Did you mean 'email'?"),
    ),
    Case("a trace that is no JSON", "show spec.toml [[email]]", ("TRACE: not valid JSON",)),
    Case("a picture of an unknown kind", "show spec.toml --output x.gif", ("x.gif", ".svg")),
    Case("a text that is not there", "guard spec.toml mail.txt", ("mail.txt: cannot read this file: No such file",)),
    Case("a kind of thing that is not listed", "list recipe", ("unknown kind 'recipe'", "Did you mean 'recipes'?")),
)
