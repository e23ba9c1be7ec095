"""The import layers: a package imports only what stands before it, and light ones stay light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each may import those of the lines above it; those on one line do not know each other.
ORDER = (
    ("errors", "intervals"),
    ("safeguard",),
    ("text",),
    ("progression",),
    ("recipe",),
    ("run", "progress"),
    ("llm", "games"),
    ("report",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# What a package may import besides the standard library, when it is itself imported.
LIGHT = {
    "safeguard": {"numpy", "pydantic"},
    "text": {"numpy", "pydantic"},
    "recipe": {"pydantic", "tomli_w"},
    "cli": set(),
}
# Imported by name only where a picture is asked for.
HEAVY_FILES = {"safeguard/picture.py": {"matplotlib"}}
# Imported only inside a command, or by a file that says by its name that it needs them.
HEAVY = {"torch", "transformers", "matplotlib", "datasets", "gguf"}
HEAVY |= {"stable_baselines3", "sb3_contrib", "vizdoom", "minigrid", "numba", "imageio", "pygame"}
FILES = sorted((ROOT / "safetune").rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that the code names in an import, wherever it stands, and in `import_module("…")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "safetune")
        elif isinstance(node, ast.Call) and isinstance(node.args[0] if node.args else None, ast.Constant):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name == "import_module":
                yield str(node.args[0].value)  # type: ignore[attr-defined]


def part(module: str) -> str | None:
    """`llm` for `safetune.llm.train`; none for other packages and for the top one itself."""
    names = module.split(".")
    return names[1] if names[0] == "safetune" and len(names) > 1 and names[1] in RANK else None


def offences(source: str, own: str) -> list[str]:
    parts = {name for module in imported(ast.parse(source)) if (name := part(module)) and name != own}
    return sorted(name for name in parts if RANK[name] >= RANK[own])


def test_every_part_has_its_layer() -> None:
    parts = {path.relative_to(ROOT / "safetune").parts[0].removesuffix(".py") for path in FILES}
    assert parts - set(RANK) == {"__init__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_stands_before_it(path: Path) -> None:
    own = path.relative_to(ROOT / "safetune").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert offences(path.read_text(encoding="utf-8"), own) == []


@pytest.mark.parametrize(
    ("source", "own"),
    [
        ("import safetune.text", "safeguard"),
        ("def f():\n    from safetune.llm.train import train", "games"),
        ("def f():\n    from safetune.games import x", "llm"),
        ("from safetune import cli", "report"),
        ("import importlib\nimportlib.import_module('safetune.llm')", "text"),
        ("if TYPE_CHECKING:\n    from safetune.run import Run", "progress"),
    ],
)
def test_the_test_sees_offences(source: str, own: str) -> None:
    assert offences(source, own) != []


def top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.Try):
            yield from node.body


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_light_packages_import_few_others(path: Path) -> None:
    inner = path.relative_to(ROOT / "safetune")
    if inner.parts[0] not in LIGHT:
        return
    allowed = LIGHT[inner.parts[0]] | HEAVY_FILES.get(inner.as_posix(), set()) | {"safetune"} | sys.stdlib_module_names
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {name.split(".")[0] for node in top_level(tree) for name in imported(node)}
    assert modules <= allowed


@pytest.mark.parametrize(
    "program",
    [
        "import safetune; safetune.Safeguard",
        "import safetune.text.monitor, safetune.text.token_safeguard",
        "import safetune.recipe, safetune.run, safetune.progress, safetune.report",
        "import safetune.llm",
        "import safetune.games; import gymnasium; gymnasium.spec('safetune/Craft-Valley-v0')",
        "from safetune.cli import main; assert main(['--help']) == 0",
        "from safetune.cli import main; assert main(['train', '--help']) == 0",
        "from safetune.cli import main; assert main(['list']) == 0",
        "from safetune.cli import main; assert main(['check', 'specs/no_contact_details.toml']) == 0",
    ],
)
def test_torch_is_imported_only_where_a_model_is(program: str) -> None:
    heavy = f"import sys; assert not {HEAVY} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", f"{program}\n{heavy}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_imports_neither_numpy_nor_pydantic() -> None:
    program = (
        "import sys; from safetune.cli import main; main(['--help'])\n"
        "assert not {'numpy', 'pydantic', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
