"""Which faults pass, and that waiting for them ends."""

from __future__ import annotations

import errno

import aiohttp
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from raybench.core.blips import TRIES, is_blip, is_full, pause_before, persist
from raybench.core.errors import ModelError
from raybench.schedule.classify import classify
from raybench.schedule.retry import FailureKind


def answered(code):
    response = requests.Response()
    response.status_code = code
    return requests.HTTPError("no", response=response)


def from_s3(code, status):
    error = Exception(code)
    error.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return error


PASSING = [
    *(OSError(number, "") for number in (errno.EBUSY, errno.EIO, errno.ESTALE, errno.EMFILE, errno.EAGAIN)),
    ConnectionResetError("reset by peer"),
    TimeoutError(),
    requests.exceptions.ConnectionError("refused"),
    requests.exceptions.ReadTimeout("slow"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ClientPayloadError(),
    *(answered(code) for code in (429, 500, 502, 503, 504)),
    from_s3("SlowDown", 503),
    from_s3("InternalError", 200),
]
LASTING = [
    ValueError("x"),
    KeyError("status"),
    FileNotFoundError(errno.ENOENT, ""),
    PermissionError(errno.EACCES, ""),
    OSError(errno.EROFS, ""),
    *(answered(code) for code in (400, 401, 403, 404)),
    from_s3("NoSuchBucket", 404),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_passes_is_known(error):
    assert is_blip(error)
    assert not is_full(error)
    assert classify(error).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_lasts_is_not_waited_for(error):
    assert not is_blip(error)
    assert pause_before(error, 1) is None


def test_an_error_in_our_words_is_what_it_comes_from():
    error = ModelError("model 'x': the hub answered: 503")
    error.__cause__ = answered(503)
    assert is_blip(error)
    failure = classify(error)
    assert (failure.kind, failure.message) == (FailureKind.TRANSIENT, "model 'x': the hub answered: 503")


@given(st.sampled_from([*PASSING, *LASTING, OSError(errno.ENOSPC, "full")]))
def test_every_wait_is_no_shorter_than_the_one_before_and_there_is_a_last(error):
    waits = [pause_before(error, tries) for tries in range(1, TRIES + 2)]
    ended = waits.index(None)
    assert set(waits[ended:]) == {None}
    assert waits[:ended] == sorted(waits[:ended])
    assert sum(waits[:ended]) <= 60


@given(st.integers(0, 20), st.integers(1, TRIES))
def test_as_many_faults_as_there_are_tries_end_in_the_fault(num_faults, most_tries):
    calls, waits = [], []

    def call():
        calls.append(None)
        if len(calls) <= num_faults:
            raise TimeoutError(len(calls))
        return "done"

    if num_faults < most_tries:
        assert persist(call, waits.append, most_tries=most_tries) == "done"
        assert len(calls) == num_faults + 1
    else:
        with pytest.raises(TimeoutError):
            persist(call, waits.append, most_tries=most_tries)
        assert len(calls) == most_tries
    assert len(waits) == len(calls) - 1
    assert all(pause_before(TimeoutError(), n) / 2 <= wait <= pause_before(TimeoutError(), n)
               for n, wait in enumerate(waits, 1))  # fmt: skip
