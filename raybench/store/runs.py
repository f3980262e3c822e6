"""A run's own directory: the job as given, the environment, progress, and the tables a user reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raybench.core.blips import TRIES
from raybench.core.identity import bytes_hash
from raybench.store.files import Files
from raybench.store.parquet import parquet_bytes, table_of

__all__ = ["JOB_DIRECTORY", "NOTES", "RunDirectory", "list_runs"]

JOB_DIRECTORY, NOTES = "job_directory", "notes"  # of environment.json: where the job file was, what its reader is told
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """STORE/runs/<run id>/."""

    files: Files
    run_id: str

    def path(self, name: str) -> str:
        """Where a file of the run is, relative to the store."""
        return f"runs/{self.run_id}/{name}"

    def location(self, name: str) -> str:
        """Where a file of the run is, for a user to open."""
        return f"{self.files.url.rstrip('/')}/{self.path(name)}"

    def write_text(self, name: str, text: str, *, most_tries: int = TRIES) -> None:
        """Write a text file."""
        self.files.write(self.path(name), text.encode(), most_tries=most_tries)

    def write_json(self, name: str, value: dict[str, Any], *, most_tries: int = TRIES) -> None:
        """Write a JSON file."""
        self.write_text(name, json.dumps(value, indent=2, sort_keys=True) + "\n", most_tries=most_tries)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON file's object, or None when it is not there, torn or something else."""
        try:
            data = self.files.read(self.path(name))
        except (FileNotFoundError, IsADirectoryError):
            return None
        try:
            value = json.loads(data)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def write_table(self, name: str, table: pa.Table) -> str:
        """Write `<name>.parquet`; the digest of the file."""
        data = parquet_bytes(table, name, _VERSION)
        self.files.write(self.path(f"{name}.parquet"), data)
        return bytes_hash([data])

    def read_table(self, name: str, *, digest: str | None = None) -> pa.Table:
        """`<name>.parquet`; FileNotFoundError when there is none, ValueError where it has another digest."""
        data = self.files.read(self.path(f"{name}.parquet"))
        if digest is not None and bytes_hash([data]) != digest:
            raise ValueError(f"{self.location(f'{name}.parquet')} is another file")
        return table_of(data)


def list_runs(files: Files) -> list[RunDirectory]:
    """Every run of a store, by id."""
    return [RunDirectory(files=files, run_id=name) for name in files.folders("runs")]
