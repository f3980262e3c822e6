"""What a submitted job takes along: the job file and the local files it names, in a directory of their own.

    with packed(job_path) as package:
        package.directory, package.fingerprint

A cluster does not see this machine's files. What lies beside the job file travels, so does every Python file there;
a path that leads out of its directory cannot, and an absolute one is taken to be there on every node.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raybench.core.errors import JobError
from raybench.core.identity import content_hash, file_hash
from raybench.job import load_job
from raybench.job.paths import file_path, input_path, is_glob
from raybench.job.source_map import read_yaml
from raybench.job.spec import FILE_FORMATS

__all__ = ["Package", "packed"]

MAX_BYTES = 100 * 2**20  # Ray's job API holds a working directory in the head's memory
_LEFT_OUT = shutil.ignore_patterns(".git", "__pycache__", ".*cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A directory to send and the hash of all that is in it."""

    job_name: str
    job_file: str
    directory: Path
    fingerprint: str


@contextmanager
def packed(job_path: str | Path) -> Iterator[Package]:
    """The package of a job, in a temporary directory; JobError when it could not run elsewhere."""
    job = load_job(job_path)
    if "://" not in job.store and not Path(job.store).is_absolute():
        raise JobError(
            f"{job.where(key=('store',))}: {job.store} would be lost with the cluster's copy of the job; "
            "want a URL such as s3://bucket/prefix or an absolute path that all nodes share"
        )
    named = _named(job.text, str(job_path), job.directory)
    with tempfile.TemporaryDirectory(prefix="raybench-submit-") as temporary:
        directory = Path(temporary)
        (directory / Path(job_path).name).write_text(job.text, encoding="utf-8")
        for path in sorted({*named, *job.directory.glob("*.py")}):
            target = directory / path.relative_to(job.directory)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, target, ignore=_LEFT_OUT, dirs_exist_ok=True)
            else:
                shutil.copy2(path, target)
        files = sorted(path for path in directory.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in files)
        if size > MAX_BYTES:
            largest = max(files, key=lambda path: path.stat().st_size).relative_to(directory)
            raise JobError(
                f"{job_path}: the files it names are {size / 2**20:,.0f} MiB, more than the {MAX_BYTES / 2**20:,.0f} "
                f"that a submission carries (the largest is {largest}); put them where all nodes see them"
            )
        contents = {str(path.relative_to(directory)): file_hash(path) for path in files}
        yield Package(
            job_name=job.name, job_file=Path(job_path).name, directory=directory, fingerprint=content_hash(contents)
        )


def _named(text: str, filename: str, directory: Path) -> list[Path]:
    """The local files and directories that a job's text names, all within its directory."""
    data, source_map = read_yaml(text, filename)
    found: list[Path] = []
    for key in ("candidates", "datasets"):
        for index, spec in enumerate(data[key]):
            for name, written in _references(spec):
                local = _local(written, directory, only_files=name == "data_files")
                outside = [path for path in local if not path.is_relative_to(directory)]
                if outside and ".." in Path(written).parts:
                    where = source_map.where((key, index, name))
                    raise JobError(
                        f"{where}: {written} lies outside the job file's directory, which is all that travels"
                    )
                found += [path for path in local if path not in outside]
    return found


def _references(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("model", "tokenizer", "source"):
        if isinstance(written := spec.get(name), str):
            yield name, written
    if spec.get("source") in FILE_FORMATS:
        files = spec.get("data_files", {})
        for one in files.values() if isinstance(files, dict) else [files]:
            for written in [one] if isinstance(one, str) else one:
                yield "data_files", written


def _local(written: str, directory: Path, *, only_files: bool) -> list[Path]:
    module = written.partition(":")[0]
    if not only_files and module != written and "/" not in written:  # module:function, beside the job file or installed
        beside = [directory / module.partition(".")[0], directory / module]
        return [path for path in beside if path.exists()]
    resolved = Path(file_path(written, directory) if only_files or is_glob(written) else input_path(written, directory))
    if is_glob(written) and resolved.is_absolute():
        return sorted(Path(resolved.anchor).glob(str(resolved.relative_to(resolved.anchor))))
    return [resolved] if resolved.is_absolute() and resolved.exists() else []
