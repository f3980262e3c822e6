"""transformers reads each folder of models once, and is imported as ever where it has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

READ = """
import sys
from pathlib import Path
from raybench.models.import_structure import remember_folders
remember_folders()
import transformers.models
from transformers.utils.import_utils import create_import_structure_from_path as read
folders = [path for path in Path(transformers.models.__file__).parent.rglob("*/") if path.name != "__pycache__"]
assert len(folders) > 400
print(read.cache_info().misses - len(folders))
"""
CHANGED = """
from raybench.models.import_structure import remember_folders
remember_folders()
from transformers.utils import import_utils
assert import_utils.__loader__.name == "transformers.utils.import_utils"
print(import_utils.create_import_structure_from_path("here"))
"""


def say(code: str, path: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_folder_of_models_is_read_twice() -> None:
    assert int(say(READ)) <= 2, "the folder of all is asked for by a path and by a file of its own"


def test_where_transformers_has_changed_it_is_imported_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "transformers" / "utils").mkdir(parents=True)
    for folder in ("", "utils"):
        (tmp_path / "transformers" / folder / "__init__.py").touch()
    uncached = "def create_import_structure_from_path(path):\n    return path\n"
    (tmp_path / "transformers" / "utils" / "import_utils.py").write_text(uncached)
    assert say(CHANGED, str(tmp_path)) == "here"
