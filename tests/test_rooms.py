"""Each room of the package imports what lies before it and nothing that imports it, imports inside functions too."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import raybench

ROOT = Path(raybench.__file__).parent
# what each room may import of the others; what is not said here is a new arrow, to be drawn on purpose
ROOMS = {
    "core": "",
    "metrics": "core",
    "job": "core metrics tasks recipes",  # the catalogues, for names
    "data": "core job",
    "models": "core",
    "tasks": "core data metrics models",
    "recipes": "core data metrics models tasks",
    "runtime": "core data metrics models tasks recipes",
    "store": "core metrics",
    "schedule": "core store",
    "planning": "core job data metrics models tasks recipes schedule store",
    "results": "core data job metrics tasks planning store",
    "replay": "core data job metrics models tasks runtime planning store results",
    "cluster": "core data job metrics models tasks recipes runtime planning schedule store results",
    "report": "core job data metrics models tasks recipes runtime planning schedule store results replay cluster",
    "commands": "core replay results store report",
    "api": "core job planning store results cluster report",
    "cli": "core api commands job data metrics planning store results cluster report",
}
LIGHT = ("job", "planning", "schedule", "store", "results")  # an import of theirs at the top of a module is no torch


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).with_suffix("").parts[0]
        if room not in ("__init__", "__main__"):
            yield room, path


@functools.cache
def arrows() -> dict[str, dict[str, str]]:
    """Room → the rooms it imports, each with a place."""
    found: dict[str, dict[str, str]] = {}
    for room, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module == "raybench":
                names = [f"raybench.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "raybench" and len(parts) > 1 and parts[1] in ROOMS and parts[1] != room:
                    found.setdefault(room, {})[parts[1]] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


def test_nothing_lies_loose_beside_the_rooms() -> None:
    assert {room for room, _ in modules()} <= ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_the_map_says(room: str) -> None:
    drawn = arrows().get(room, {})
    assert drawn.keys() <= set(ROOMS[room].split()), dict(drawn)


def test_no_room_imports_one_that_imports_it() -> None:
    reach = {room: set(others) for room, others in arrows().items()}
    for _ in ROOMS:
        reach = {room: others.union(*(reach.get(other, set()) for other in others)) for room, others in reach.items()}
    assert not {room for room, others in reach.items() if room in others}


def test_ray_is_imported_in_one_room_alone() -> None:
    for room, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert room == "cluster" or "ray" not in {name.split(".")[0] for name in names}, path


def test_rooms_that_plan_and_store_import_no_torch() -> None:
    for room, path in modules():
        if room in LIGHT:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not {"torch", "transformers"} & {name.split(".")[0] for name in names}, path
