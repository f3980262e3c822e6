"""The user's own code is what it says and what it imports beside the job file: that changes its digest, no more."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raybench.core.code import code_digests, module_file

FILES = {
    "own_start.py": "import json, own_one\nfrom own_pack import inner\ndef late():\n    import own_late\n",
    "own_one.py": "from own_two import *\nimport own_start\n",
    "own_two.py": "X = 1\n",
    "own_late.py": "",
    "own_alone.py": "",
    "own_pack/__init__.py": "",
    "own_pack/inner.py": "from . import near\nfrom ..nowhere import x\nfrom .deep.leaf import y\n",
    "own_pack/near.py": "",
    "own_pack/unused.py": "",
    "own_pack/deep/leaf.py": "",  # deep has no __init__.py
    "json.py": "raise SystemExit  # never run",
    "raybench/__init__.py": "",
}
READ = {
    "own_start.py", "own_one.py", "own_two.py", "own_late.py", "own_pack/__init__.py", "own_pack/inner.py",
    "own_pack/near.py", "own_pack/deep/leaf.py", "json.py",
}  # fmt: skip


@pytest.fixture
def digest(tmp_path: Path) -> Callable[[], str]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return lambda: code_digests(["own_start:Thing"], tmp_path)["own_start:Thing"]


def test_what_is_imported_beside_the_job_counts_and_nothing_else(tmp_path: Path, digest: Callable[[], str]) -> None:
    first, changing = digest(), set()
    for name in FILES:
        (tmp_path / name).write_text(FILES[name] + "# another line\n")
        if digest() != first:
            changing.add(name)
        (tmp_path / name).write_text(FILES[name])
    assert changing == READ
    assert digest() == first


def test_where_the_job_lies_does_not_count(tmp_path: Path, digest: Callable[[], str]) -> None:
    first = digest()
    tmp_path.rename(tmp_path.parent / "elsewhere")
    assert code_digests(["own_start:Thing"], tmp_path.parent / "elsewhere") == {"own_start:Thing": first}


def test_names_of_catalogs_and_of_raybench_have_no_digest(tmp_path: Path) -> None:
    names = ["full", "raybench.recipes.methods.full:Full", "accuracy"]
    assert code_digests(names, tmp_path) == {}


def test_a_module_of_an_installed_package_counts_with_its_own_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, job = tmp_path / "site/own_installed", tmp_path / "job"
    for folder in (package, job):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from .b import x\nimport numpy\n")
    (package / "b.py").write_text("x = 1")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    digests = [code_digests(["own_installed.a:X"], job)]
    for name in ("a.py", "b.py"):
        (package / name).write_text((package / name).read_text() + "\n")
        digests.append(code_digests(["own_installed.a:X"], job))
    assert len({str(one) for one in digests}) == 3


def test_only_modules_beside_the_job_are_beside_it(tmp_path: Path, digest: Callable[[], str]) -> None:
    assert module_file("own_pack.deep.leaf", tmp_path) == tmp_path / "own_pack/deep/leaf.py"
    for name in ("subprocess", "own_pack.deep", "own_pack.none", "", "..own_one", "own_one.x", "a/b"):
        assert module_file(name, tmp_path) is None, name
