"""Models that crash, hang or fill the runtime, or that it refuses: an error that says so, and a pool that goes on."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from oracle.oracle_models import endless, mutated, relu, sine
from tinymlsec.errors import OracleCrash, OracleError, OracleRejected, OracleTimeout
from tinymlsec.target.oracle import Limits, OraclePool


def assert_works(pool):
    assert np.array_equal(pool.open(relu(1, 2)).run(np.float32([[-1, 1]])), [[0, 1]])


def test_refusal_in_the_words_of_the_runtime(pool, real_model):
    with pytest.raises(OracleRejected, match="Hybrid models are not supported"):
        pool.open(real_model("mlperf_tiny_kws/kws_ref_model_float32.tflite"))
    assert_works(pool)


@pytest.mark.parametrize("data", [b"", b"\0" * 3, b"\0" * 64, b"\xff" * 64, b"no model at all" * 100])
def test_files_that_are_no_models(pool, data):
    with pytest.raises(OracleRejected, match="refuses the model"):
        pool.open(data)
    assert_works(pool)


def test_crashing_files_are_evidence():
    crashes = []
    with OraclePool(1) as pool:
        for seed in range(80):
            try:
                handle = pool.open(mutated(sine(), seed))
                handle.run(np.zeros((2, *handle.inputs[0].shape), handle.inputs[0].dtype))
            except OracleCrash as error:
                crashes.append(error)
            except OracleError:
                pass
        assert pool.restarts == len(crashes)
        assert_works(pool)
    assert len(crashes) >= 3, "these three changed bytes are known to crash the runtime"
    assert {error.signal for error in crashes} <= {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE"}
    assert all(error.last_step.startswith(("load model ", "invoke sample ")) for error in crashes)


def test_crash_names_the_sample(pool):
    with OraclePool(1) as pool:
        handle = pool.open(relu(1, 2))

        def crash(_done: int) -> None:
            os.kill(pool.pids[0], signal.SIGSEGV)

        with pytest.raises(OracleCrash) as caught:
            handle.run(np.zeros((100, 2), np.float32), crash)
        assert caught.value.signal == "SIGSEGV"
        assert caught.value.last_step == f"invoke sample 32 of model {handle.digest[:12]}"
        assert_works(pool)


def test_hang_names_the_sample(brisk):
    handle = brisk.open(endless())
    assert not handle.run(np.zeros((40, 1), bool)).any()
    x = np.zeros((40, 1), bool)
    x[17] = True
    began = time.monotonic()
    with pytest.raises(OracleTimeout, match=f"invoke sample 17 of model {handle.digest[:12]}"):
        handle.run(x)
    assert time.monotonic() - began < 10
    assert_works(brisk)


def test_stopped_worker_is_a_timeout(brisk):
    handle = brisk.open(relu(1, 2))
    os.kill(brisk.pids[0], signal.SIGSTOP)
    with pytest.raises(OracleTimeout):
        handle.run(np.zeros((4, 2), np.float32))
    assert_works(brisk)


def test_memory_is_limited(brisk):
    with pytest.raises(OracleRejected, match="out of memory"):
        brisk.open(relu(1, 2), arena_size=2 << 30)
    with pytest.raises(OracleRejected, match="too large for the worker's memory"):
        brisk.open(bytes(Limits().memory_bytes // 8 + 1))
    assert_works(brisk)
    assert brisk.restarts == 0


def test_tensors_are_limited(brisk):
    for _ in range(2):  # the second time the worker still holds it
        with pytest.raises(OracleRejected, match="input or output of the model is too large"):
            brisk.open(relu(1, 5_000_000), arena_size=64 << 20)
    assert_works(brisk)


def test_worker_with_the_least_memory():
    with OraclePool(1, Limits(memory_bytes=160 << 20)) as pool:
        assert_works(pool)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("os.abort()", OracleCrash, "SIGABRT"),
        ("os._exit(5)", OracleCrash, "exit status 5"),
        ("raise RuntimeError('no')", OracleRejected, "RuntimeError: no"),
        ("while True: os.write(2, b'x' * 4096)", OracleTimeout, "did not answer in time"),
        ("while True: pass", OracleTimeout, "did not answer in time"),
        ("while True: self.progress[0] += 1", OracleTimeout, "did not answer in time"),
        ("os.close(self.channel.sink); import time; time.sleep(60)", OracleCrash, "invoke sample 0"),
        (
            "self.channel.send({'ok': 'run', 'n': request['n'] + 1}, (worker.np.zeros(8, 'u1'),))",
            OracleError,
            "breaks the protocol",
        ),
        ("os.write(self.channel.sink, b'nonsense' * 99)", OracleError, "breaks the protocol"),
        ("os.write(os.open('.', os.O_TMPFILE | os.O_WRONLY), b'x')", OracleRejected, "File too large"),
    ],
)
def test_runtime_that_went_wrong(patched_worker, code, kind, text):
    patience = 0.5 if kind is OracleTimeout else 10.0  # a busy machine must not turn a crash into a hang
    with OraclePool(1, Limits(seconds_per_call=patience), command=patched_worker(code)) as pool:
        with pytest.raises(kind, match=text) as caught:
            pool.open(relu(1, 2)).run(np.zeros((1, 2), np.float32))
        assert type(caught.value) is kind
        assert pool.open(relu(1, 3)).inputs[0].shape == (1, 3)


def test_prints_of_the_runtime_cannot_be_replies(patched_worker):
    code = "os.write(1, b'tmso' + bytes(12)); os.write(2, b'\\x1b[31mred\\x07')"
    with OraclePool(1, command=patched_worker(code)) as pool:
        assert_works(pool)


def test_log_is_kept_bounded_and_printable(patched_worker):
    code = "for _ in range(2000): os.write(2, b'\\x1b[31m' + b'y' * 100 + b'\\n')\nos.abort()"
    with OraclePool(1, command=patched_worker(code)) as pool:
        with pytest.raises(OracleCrash) as caught:
            pool.open(relu(1, 2)).run(np.zeros((1, 2), np.float32))
        assert 1000 < len(caught.value.log) <= 16 * 1024
        assert "\x1b" not in caught.value.log
