"""A store in a bucket: run, kill the driver, go on; the same bits as on a disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
import s3fs
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

import raybench
from raybench.core.errors import StoreError
from raybench.results.tables import TIMING_COLUMNS
from raybench.store import Store
from raybench.store.clean import survey

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a local server, found through AWS's own variables as a user's is."""
    port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    s3fs.S3FileSystem().mkdir("nightly")
    yield "s3://nightly"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def timeless(ranking):
    return ranking.table.drop_columns(list(TIMING_COLUMNS)).to_pylist(), ranking.scores.to_pylist()


def test_a_bucket_that_is_not_there_is_one_line(bucket):
    with pytest.raises(StoreError, match=r"^store s3://nowhere/x: cannot be written \(.*bucket does not exist"):
        Store.open("s3://nowhere/x").files.check_writable()


def test_a_killed_driver_goes_on_in_a_bucket_with_the_bits_of_a_disk(bucket, make_job, ray_address, small):
    job, store = make_job(), Store.open(f"{bucket}/team")
    path = job.write(**small.keys, store=f"{bucket}/team")
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "raybench", "run", str(path)]
    command += ["--address", ray_address]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    while not (job.folder / "slow").exists():
        assert driver.poll() is None, driver.stderr.read()
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    in_bucket = raybench.run(path, address=ray_address, quiet=True)
    assert in_bucket.complete
    assert timeless(in_bucket) == timeless(small.ranking)
    assert store.run(in_bucket.run_id).read_table("ranking").equals(in_bucket.table)
    assert survey(store, pytest.fail).garbage == []
