"""A process that runs another raybench, other libraries or sees another store takes no part, and says which."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from raybench.cluster import agreement as module
from raybench.cluster.agreement import Agreement, announced, check_agreement, source_digest
from raybench.cluster.context import RunContext
from raybench.cluster.hosts import ask_hosts, other_hosts, refusal
from raybench.cluster.planned_files import PlannedFiles
from raybench.cluster.session import Session
from raybench.core import ModelSpec, Trial
from raybench.core.code import code_digests
from raybench.core.errors import JobError, ModelError, RaybenchError
from raybench.models import fingerprint
from raybench.models.fingerprint import weights_stamp
from raybench.store import Store
from raybench.store.files import Files


@pytest.fixture
def agreed(tmp_path: Path) -> Iterator[Agreement]:
    with announced(Store.open(str(tmp_path / "store")).run("r")) as agreement:
        yield agreement


def test_whoever_sees_the_drivers_word_and_runs_the_same_takes_part(agreed: Agreement, tmp_path: Path) -> None:
    check_agreement(agreed, Files(str(tmp_path / "store")))


def test_a_drivers_word_is_gone_when_it_has_ended(tmp_path: Path) -> None:
    with (
        announced(Store.open(str(tmp_path)).run("r")) as first,
        announced(Store.open(str(tmp_path)).run("r")) as second,
    ):
        assert first.path != second.path, "two drivers of one run do not meet"
    assert not list((tmp_path / "runs/r").iterdir())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": "x"}, "runs another raybench than the driver ("),
        ({"releases": {"torch": "1.0"}}, " the driver 1.0; install the same on both"),
        ({"nonce": "another store's"}, "does not see what the driver wrote there; want a URL such as s3://"),
        ({"path": "runs/r/none"}, "does not see what the driver wrote there"),
    ],
)
def test_an_actor_that_is_not_of_the_run_does_not_start(
    agreed: Agreement, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    context = RunContext(store_url=str(tmp_path / "store"), planned={}, data={})
    Session(replace(context, agreement=agreed))
    with pytest.raises(RaybenchError, match=r"node [\w.-]+ ") as caught:
        Session(replace(context, agreement=replace(agreed, **changes)))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_build_of_the_same_release_is_the_same(
    agreed: Agreement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "+" not in "".join(agreed.releases.values())
    monkeypatch.setattr(module, "library_releases", lambda: {**agreed.releases, "torch": "0.1"})
    with pytest.raises(RaybenchError, match=r"has torch 0\.1, the driver "):
        check_agreement(agreed, Files(str(tmp_path / "store")))


def test_the_source_is_that_of_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "raybench"
    shutil.copytree(Path(module.raybench.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module.raybench, "__file__", str(copy / "__init__.py"))
    assert source_digest.__wrapped__() == source_digest()
    (copy / "core/words.py").write_text((copy / "core/words.py").read_text() + "\n")
    assert source_digest.__wrapped__() != source_digest()


def test_machines_that_could_hold_an_actor_are_asked_once_each() -> None:
    def node(address: str, number: int, cpus: float = 4, alive: bool = True) -> dict[str, object]:
        resources = {"CPU": cpus} if cpus else {}
        return {"NodeManagerAddress": address, "NodeID": f"n{number}", "Alive": alive, "Resources": resources}

    nodes = [
        node("here", 0),
        node("here", 1),
        node("a", 2),
        node("a", 3),
        node("b", 4, cpus=0),
        node("c", 5, alive=False),
    ]
    assert other_hosts(nodes, "here", 2) in ({"a": "n2"}, {"a": "n3"})
    assert other_hosts(nodes, "here", 8) == {}


def test_machines_that_take_no_part_are_one_line() -> None:
    assert refusal({}) is None
    assert refusal({"a": None}) is None
    assert str(refusal({"b": "y", "a": "x", "c": None, "d": "z"})) == "a: x; likewise 2 other machines"


def test_a_cluster_is_asked_before_anything_starts(ray_address: str, agreed: Agreement, tmp_path: Path) -> None:
    import ray

    with ray.init(address=ray_address, log_to_driver=False, logging_level="ERROR"):
        hosts = {"here": ray.nodes()[0]["NodeID"]}
        assert ask_hosts(hosts, agreed, str(tmp_path / "store")) == {"here": None}
        (answer,) = ask_hosts(hosts, agreed, str(tmp_path / "another")).values()
        assert ask_hosts({"gone": "e" * 56}, agreed, str(tmp_path / "store")) == {}
        assert ask_hosts(hosts, replace(agreed, source="x"), str(tmp_path / "store")) == {"here": None}
    assert answer is not None
    assert answer.startswith(f"store {tmp_path}/another: node ")


MakeTrial = Callable[..., Trial]


@pytest.fixture
def trial(tmp_path: Path, tiny_bert: Path, make_trial: MakeTrial) -> Trial:
    shutil.copytree(tiny_bert, tmp_path / "m")
    return make_trial(tmp_path / "m")


def test_files_that_look_as_the_driver_saw_them_are_not_read_again(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {trial.trial_id: weights_stamp(trial.model)}
    monkeypatch.setattr(fingerprint, "_hash", lambda *_: pytest.fail("read"))
    PlannedFiles(seen, tmp_path).check(trial)


def test_copies_are_read_once(trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, hashed = [], fingerprint._hash
    monkeypatch.setattr(fingerprint, "_hash", lambda path: (read.append(path), hashed(path))[1])
    planned = PlannedFiles({trial.trial_id: "as on another machine"}, tmp_path)
    planned.check(trial)
    assert read
    read.clear()
    planned.check(replace(trial, trial_id="of the same model"))
    assert not read


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_model_that_is_another_one_here_is_refused_whenever_it_changed(
    trial: Trial, tmp_path: Path, name: str
) -> None:
    planned = PlannedFiles({trial.trial_id: weights_stamp(trial.model)}, tmp_path)
    planned.check(trial)
    file = tmp_path / "m" / name
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    with pytest.raises(ModelError, match=r"on node [\w.-]+ its files are not what was planned; copy the same"):
        planned.check(trial)


def test_an_architecture_is_checked_by_its_configuration(make_trial: MakeTrial, tmp_path: Path) -> None:
    trial = make_trial(ModelSpec(reference="arch:bert", config={"hidden_size": 24}))
    PlannedFiles({}, tmp_path).check(trial)
    with pytest.raises(ModelError, match="not what was planned"):
        PlannedFiles({}, tmp_path).check(replace(trial, weights_fingerprint="of another release"))


def test_code_that_is_another_here_is_refused(make_trial: MakeTrial, tmp_path: Path) -> None:
    (tmp_path / "own_code.py").write_text("x = 1")
    trial = make_trial("baseline:majority")
    trial = replace(trial, code=code_digests(["own_code:X"], tmp_path))
    PlannedFiles({}, tmp_path).check(trial)
    (tmp_path / "own_code.py").write_text("x = 2")
    with pytest.raises(JobError, match=r"^own_code:X: on node [\w.-]+ its source is not what was planned"):
        PlannedFiles({}, tmp_path).check(trial)
