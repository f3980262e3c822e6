"""What libraries do not promise is used in few places, each with its reason beside it and a test of its own."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import raybench

ROOT = Path(raybench.__file__).parent
# module → what it uses, and the test that fails when the library changes it
ALLOWED = {
    "cluster/internals.py": (
        {
            "ray._private",
            "ray._private.node",
            "ray._private.state",
            "ray._raylet",
            "_actor_id",
            "_session_dir",
            "_node_id",
        },
        "tests/cluster/test_internals.py",
    ),
    "cluster/waiting.py": ({"_current_frames"}, "tests/cluster/test_waiting.py"),  # of Python's sys, documented
    "metrics/detection.py": ({"_evalImgs_cpp"}, "tests/metrics/test_images.py"),
    "metrics/overlap.py": ({"_extract_corpus_statistics"}, "tests/metrics/test_texts.py"),
    "models/audio.py": ({"_get_feat_extract_output_lengths"}, "tests/models/test_audio.py"),
    "models/embedding.py": ({"_version"}, "tests/tasks/test_retrieval.py"),  # torch counts a tensor's changes by it
    "models/padded_attention.py": (
        {"_supports_flash_attn", "_attn_implementation", "_flash_attention_forward"},
        "tests/models/test_padded_attention.py",
    ),
    "recipes/trees.py": ({"_predictors", "_baseline_prediction"}, "tests/recipes/methods/test_on_features.py"),
    "runtime/training/cost.py": (
        {"_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention_for_cpu_backward"},
        "tests/runtime/test_trial.py",
    ),
}
_NAMED_TUPLE = {"_asdict", "_fields", "_replace", "_make", "_exit"}  # public, though they begin with a line


@functools.cache
def private_names() -> tuple[tuple[str, str, int], ...]:
    return tuple(_private_names())


def _private_names() -> Iterator[tuple[str, str, int]]:
    """Module, name and line of every private name that no module of raybench defines."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
    own = set()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                own.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_of_self(node):
                own.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                own.add(node.target.id)
            elif isinstance(node, ast.Assign):
                own |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for path, tree in trees.items():
        module = str(path.relative_to(ROOT))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and "._" in node.module:
                yield module, node.module, node.lineno
            elif isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own | _NAMED_TUPLE:
                yield module, node.attr, node.lineno


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def test_private_names_of_libraries_are_used_only_where_it_is_said() -> None:
    for module, name, line in private_names():
        allowed, _ = ALLOWED.get(module, (set(), ""))
        assert name in allowed, f"{module}:{line} uses {name}, which its library may change at any time"


@pytest.mark.parametrize("module", sorted(ALLOWED))
def test_each_use_has_a_test(module: str) -> None:
    assert (ROOT / module).is_file()
    assert (ROOT.parent / ALLOWED[module][1]).is_file()


def test_nothing_is_allowed_that_nobody_uses() -> None:
    used = {(module, name) for module, name, _ in private_names()}
    assert {(module, name) for module, (names, _) in ALLOWED.items() for name in names} == used
