"""Public names: each package says in `__all__` what it offers, all of it, in order, and nothing that is not there."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "safetune").rglob("*.py"))
PACKAGES = [path for path in FILES if path.name == "__init__.py"]


def module_name(path: Path) -> str:
    inner = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(inner[:-1] if inner[-1] == "__init__" else inner)


def declared(path: Path) -> list[str] | None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == "__all__":
            assert isinstance(node, ast.Assign)
            return list(ast.literal_eval(node.value))
    return None


def offered(path: Path) -> set[str]:
    """Public names that a package's file takes from its own package, or defines."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("safetune"):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest; ruff holds every list of names to this."""
    constant, cls = re.fullmatch(r"[A-Z][A-Z0-9_]*", name), name[0].isupper()
    return (0 if constant else 1 if cls else 2, name)


@pytest.mark.parametrize("path", PACKAGES, ids=module_name)
def test_a_package_declares_all_that_it_offers(path: Path) -> None:
    names = declared(path)
    assert names is not None, "a package says what it offers"
    assert offered(path) <= set(names)


@pytest.mark.parametrize("path", [path for path in FILES if declared(path) is not None], ids=module_name)
def test_declared_names_are_there_sorted_and_said_once(path: Path) -> None:
    names = declared(path)
    assert names is not None
    assert names == sorted(set(names), key=order)
    module = importlib.import_module(module_name(path))
    assert [name for name in names if not hasattr(module, name)] == []
