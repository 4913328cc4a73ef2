"""Workers start when they are needed and never stay behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinymlsec
import tinymlsec.target.oracle as oracle
from oracle.oracle_models import endless, relu
from tinymlsec.errors import OracleError, UsageError
from tinymlsec.target.oracle import Limits, OraclePool, runtime_available, versions

SCRIPT = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
import numpy as np
from oracle.oracle_models import endless, relu
from tinymlsec.target.oracle import OraclePool
pool = OraclePool(2)
handle = pool.open(endless())
try:
    print(*pool.pids, flush=True)
    handle.run(np.ones((80, 1), bool))
except KeyboardInterrupt:
    print("interrupted", len(pool.pids), pool.open(relu(1, 2)).run(np.float32([[-1, 1]])).tolist(), flush=True)
    pool.close()
    print("closed", len(pool.pids), flush=True)
"""


def gone(pid: int) -> bool:
    """The process has ended; one that waits to be reaped by a parent that is not us counts as ended."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(pids, seconds=5.0):
    end = time.monotonic() + seconds
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.02)


def wait_until_busy(pids, ticks=5, seconds=30.0):
    """Until each process has used some more processor time: the inference that never ends has begun."""

    def used(pid):
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11])

    start, end = {pid: used(pid) for pid in pids}, time.monotonic() + seconds
    while any(used(pid) < start[pid] + ticks for pid in pids):
        assert time.monotonic() < end, "the workers do nothing"
        time.sleep(0.02)


@pytest.fixture
def hanging_parent():
    """A process whose two workers hang in an inference, in a process group of its own."""
    root, tests = str(Path(tinymlsec.__file__).parents[1]), str(Path(__file__).parents[1])
    code = SCRIPT.format(root=root, tests=tests)
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True, bufsize=1
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    wait_until_busy(pids)
    yield parent, pids
    parent.kill()
    parent.wait()
    parent.stdout.close()


def test_workers_end_when_the_parent_is_killed(hanging_parent):
    parent, pids = hanging_parent
    os.kill(pids[0], signal.SIGSTOP)
    assert not any(gone(pid) for pid in pids)
    parent.kill()
    parent.wait()
    wait_until_gone(pids)


def test_interrupt_leaves_no_worker_and_a_usable_pool(hanging_parent):
    parent, pids = hanging_parent
    os.killpg(parent.pid, signal.SIGINT)  # as the terminal does: to the whole group
    out, _ = parent.communicate(timeout=20)
    assert out.split("\n")[:2] == ["interrupted 0 [[0.0, 1.0]]", "closed 0"]
    wait_until_gone(pids)


def test_closing_reaps_everything():
    pool = OraclePool(2)
    assert pool.pids == []
    pool.open(relu(1, 2))
    pids = pool.pids
    assert len(pids) == 2
    pool.close()
    pool.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(UsageError, match="closed"):
        pool.open(relu(1, 2))


def test_a_forgotten_pool_ends_its_workers():
    pool = OraclePool(1)
    pool.open(relu(1, 2))
    pids = pool.pids
    del pool
    gc.collect()
    wait_until_gone(pids)


def test_a_second_worker_may_wait_long_for_its_first_work():
    with OraclePool(2, Limits(start_seconds=2.0)) as pool:
        handle = pool.open(relu(1, 2))
        time.sleep(2.2)
        handle.run(np.zeros((1000, 2), np.float32))
        assert pool.restarts == 0


def test_idle_worker_that_died_is_replaced():
    with OraclePool(1) as pool:
        handle = pool.open(relu(1, 2))
        pid = pool.pids[0]
        os.kill(pid, signal.SIGKILL)
        while pool.pids:
            time.sleep(0.01)
        assert handle.run(np.float32([[-1, 1]])).tolist() == [[0, 1]]
        assert pool.restarts == 1


def test_renewed_workers_hold_nothing_of_before():
    with OraclePool(1, Limits(restarts=0)) as pool:
        handle = pool.open(relu(1, 2))
        before = pool.pids
        pool.renew()
        assert pool.pids == []
        assert handle.run(np.float32([[-1, 1]])).tolist() == [[0, 1]]
        assert pool.pids != before
        assert pool.restarts == 0


def test_restarts_are_bounded():
    with OraclePool(1, Limits(restarts=1, seconds_per_call=0.2)) as pool:
        for message in ("did not answer", "did not answer", "died too often"):
            with pytest.raises(OracleError, match=message):
                pool.open(endless()).run(np.ones((1, 1), bool))


def test_threads_take_turns(pair):
    handle, results = pair.open(relu(1, 2)), {}

    def work(k: int) -> None:
        results[k] = handle.run(np.full((300, 2), k, np.float32))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((results[k] == k).all() for k in range(4))


def test_a_callback_cannot_use_the_oracle(pair):
    handle = pair.open(relu(1, 2))
    with pytest.raises(UsageError, match="callback"):
        handle.run(np.zeros((40, 2), np.float32), lambda _: pair.open(relu(1, 3)) and None)
    assert handle.run(np.zeros((40, 2), np.float32)).shape == (40, 2)


def test_a_forked_child_lets_go_of_the_workers(pair):
    handle = pair.open(relu(1, 2))
    before = pair.pids
    pid = os.fork()
    if pid == 0:
        os._exit(0 if pair.pids == [] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert handle.run(np.float32([[-1, 1]])).tolist() == [[0, 1]]
    assert pair.pids == before != []


def test_platform_without_the_runtime(monkeypatch):
    assert runtime_available()[0] is True
    assert set(versions()) == {"numpy", "tflite-micro"}
    monkeypatch.setattr(oracle, "find_spec", lambda name: None)
    available, text = runtime_available()
    assert not available
    assert "Linux on x86_64" in text
    with OraclePool(1) as pool, pytest.raises(OracleError, match="not available here"):
        pool.open(relu(1, 2))


@pytest.mark.parametrize("workers", [0, -1, 1000])
def test_number_of_workers(workers):
    with pytest.raises(UsageError, match="number of oracle workers"):
        OraclePool(workers)


@pytest.mark.parametrize("limits", [{"memory_bytes": 1 << 20}, {"seconds_per_call": 0}, {"models_per_worker": 0}])
def test_limits_that_cannot_work(limits):
    with pytest.raises(UsageError):
        Limits(**limits)
