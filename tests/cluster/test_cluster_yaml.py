"""cluster.yaml and the KubeRay manifests are what Ray takes, and as closed and elastic as they say."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    found = (yaml.safe_load((ROOT / f"jobs/kuberay-{kind}.yaml").read_text()) for kind in ("rayjob", "raycronjob"))
    return {one["kind"]: one for one in found}


def ray_schema() -> dict[str, Any]:
    import ray.autoscaler

    loaded: dict[str, Any] = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    return loaded


def test_the_cluster_passes_rays_own_schema(cluster: dict[str, Any]) -> None:
    jsonschema.validate(cluster, ray_schema())


def test_rays_schema_would_refuse_a_typo(cluster: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster | {"max_worker": 3}, ray_schema())


def test_rays_own_reading_of_the_cluster_finds_no_fault(cluster: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import fillout_defaults, validate_config

    validate_config(fillout_defaults(cluster))


def test_the_head_runs_no_trial(cluster: dict[str, Any]) -> None:
    assert cluster["available_node_types"][cluster["head_node_type"]]["resources"] == {"CPU": 0}


def test_on_demand_and_spot_gpus_come_and_go_with_the_work(cluster: dict[str, Any]) -> None:
    workers = {name: one for name, one in cluster["available_node_types"].items() if name != cluster["head_node_type"]}
    markets = {one["labels"]["ray.io/market-type"]: one for one in workers.values()}
    assert set(markets) == {"on-demand", "spot"}
    assert markets["spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in markets["on-demand"]["node_config"]
    assert all(one["resources"]["GPU"] >= 1 and one["min_workers"] == 0 for one in workers.values())
    assert sum(one["max_workers"] for one in workers.values()) == cluster["max_workers"]
    assert cluster["idle_timeout_minutes"] <= 15


def test_every_node_asks_for_the_token(cluster: dict[str, Any]) -> None:
    assert "--env RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]
    assert cluster["file_mounts"]["/home/ray/.ray/auth_token"] == "~/.ray/auth_token"


def test_the_dashboard_listens_on_loopback_alone(cluster: dict[str, Any]) -> None:
    (start,) = [line for line in cluster["head_start_ray_commands"] if "ray start" in line]
    assert "--dashboard-host=127.0.0.1" in start


def test_every_file_names_one_ray_and_it_is_the_minor_version_installed_here(
    cluster: dict[str, Any], manifests: dict[str, Any]
) -> None:
    texts = [path.read_text() for path in (ROOT / "cluster.yaml", *ROOT.glob("jobs/kuberay-*.yaml"))]
    named = {found for text in texts for found in re.findall(r"ray(?:\[default\]==|:|Version: )(\d+\.\d+\.\d+)", text)}
    assert len(named) == 1
    assert named.pop().rpartition(".")[0] == version("ray").rpartition(".")[0]


def test_the_nightly_manifest_runs_what_the_job_manifest_runs(manifests: dict[str, Any]) -> None:
    assert manifests["RayCronJob"]["spec"]["jobTemplate"] == manifests["RayJob"]["spec"]
    assert len(manifests["RayCronJob"]["spec"]["schedule"].split()) == 5


def test_the_manifests_ask_for_the_token_and_clean_up(manifests: dict[str, Any]) -> None:
    spec = manifests["RayJob"]["spec"]
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_manifests_workers_have_gpus_and_scale_from_none(manifests: dict[str, Any]) -> None:
    groups = manifests["RayJob"]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert {group["groupName"] for group in groups} == {"gpu-on-demand", "gpu-spot"}
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert int(container["resources"]["limits"]["nvidia.com/gpu"]) >= 1
        assert group["minReplicas"] == 0 < group["maxReplicas"]
