"""Imports go one way: who may import whom, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {
    "types": 0,
    "errors": 0,
    "short_repr": 0,
    "domains": 1,
    "datasets": 2,
    "interface": 2,
    "safety": 2,
    "engine": 3,
    "prompting": 3,
    "remote": 3,
    "world_model": 4,
    "envs": 5,
    "gymnasium_hook": 6,
    "labelling": 5,
    "training": 5,
    "benchmarks": 6,
    "serving": 6,
    "cli": 7,
}
MEASURES_SERVING = {"serving_load.py"}
"""Benchmarks of the server itself, which is of their own layer and does not know them."""
HEAVY = {"torch", "diffusers", "transformers", "accelerate"}
WITHOUT_TORCH = {"types", "errors", "short_repr", "domains", "datasets", "interface", "remote", "safety", "prompting"}
SOURCES = [p for p in (ROOT / "cosmos_robot").rglob("*.py") if not p.is_symlink()] + [
    p for name in ("domains", "datasets", "envs", "benchmarks") for p in (ROOT / name).rglob("*.py")
]


def part_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "cosmos_robot" else parts[0]


def imports(path, *, top_level_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_source_has_a_layer():
    unknown = {part_of(path) for path in SOURCES} - set(LAYERS) - {"__init__"}
    assert not unknown


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    part = part_of(path)
    if part == "__init__":
        pytest.skip("the package's own names are imported when they are used")
    for module in imports(path):
        if module.startswith("cosmos_robot."):
            other = module.split(".")[1]
            assert LAYERS[other] <= LAYERS[part], f"{part} may not import {module}"
            same_level = LAYERS[other] == LAYERS[part] and other != part
            assert (
                not same_level
                or {other, part} <= {"types", "errors", "short_repr"}
                or part == "serving"
                or path.name in MEASURES_SERVING
            ), f"{part} -> {module}"


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if part_of(p) in WITHOUT_TORCH], ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_torch_below_the_engine(path):
    assert not {module.split(".")[0] for module in imports(path)} & HEAVY


def test_importing_the_package_is_light():
    """`import cosmos_robot` and its command line load nothing heavy."""
    import subprocess
    import sys

    code = "import cosmos_robot, cosmos_robot.cli, sys; print(sorted({'torch', 'diffusers', 'lerobot'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
