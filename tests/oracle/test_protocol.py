"""A worker that does not follow the protocol, wherever it leaves it."""

from __future__ import annotations

import ast
import json
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinymlsec.target.oracle as oracle
from tinymlsec.errors import OracleError, OracleRejected
from tinymlsec.target.oracle import Limits, OraclePool
from tinymlsec.target.oracle_protocol import ProtocolError, clean, pack, parse_header, unpack_prefix

FAKE = """
import os, struct, sys
def take(count):
    data = b""
    while len(data) < count:
        got = os.read(0, count - len(data))
        if not got: os._exit(0)
        data += got
    return data
first = True
for reply in sys.argv[1].split(","):
    if not first:
        magic, header, payload = struct.unpack("<4sIQ", take(16))
        take(header + payload)
    first = False
    os.write(1, bytes.fromhex(reply))
take(1)
"""


def frame(header: object, payload: bytes = b"", magic: bytes = b"tmso", announced: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<4sIQ", magic, len(text), len(payload) if announced is None else announced) + text + payload


HELLO = frame({"hello": 1})
FLOAT = {"shape": [1, 2], "dtype": "float32", "scale": [], "zero_point": []}


def loaded(**changes: object) -> bytes:
    return frame({"ok": "load", "inputs": [FLOAT], "outputs": [FLOAT | changes]})


CASES = {
    "silly start": [b"hello, I am a worker" * 3],
    "other version": [frame({"hello": 99})],
    "empty header": [frame({})],
    "no json": [HELLO, frame(b"{]")],
    "deep json": [HELLO, frame(b"[" * 20_000)],
    "json list": [HELLO, frame([1, 2])],
    "long header": [HELLO, struct.pack("<4sIQ", b"tmso", 2**31, 0)],
    "long payload": [HELLO, struct.pack("<4sIQ", b"tmso", 2, 2**62)],
    "other magic": [HELLO, frame({"ok": "load"}, magic=b"tmsx")],
    "payload not due": [HELLO, frame({"ok": "load"}, b"12345678")],
    "more than announced": [HELLO, frame({"ok": "load"}, b"12345678", announced=0)],
    "no details": [HELLO, frame({"ok": "load"})],
    "other reply": [HELLO, frame({"ok": "run", "inputs": [FLOAT], "outputs": [FLOAT]})],
    "negative shape": [HELLO, loaded(shape=[-1, 2])],
    "huge shape": [HELLO, loaded(shape=[2**70])],
    "deep shape": [HELLO, loaded(shape=[1] * 40)],
    "words for shape": [HELLO, loaded(shape=["a"])],
    "truth for shape": [HELLO, loaded(shape=[True])],
    "words for scale": [HELLO, loaded(scale=["x"])],
    "missing scale": [HELLO, loaded(scale=None)],
    "short result": [HELLO, loaded(), frame({"ok": "run", "n": 3}, bytes(16))],
    "result without bytes": [HELLO, loaded(), frame({"ok": "run", "n": 3})],
    "other count": [HELLO, loaded(), frame({"ok": "run", "n": 4}, bytes(24))],
}


@pytest.mark.parametrize("name", CASES)
def test_nonsense_is_a_clear_error(name):
    replies = ",".join(reply.hex() for reply in CASES[name])
    began = time.monotonic()
    with OraclePool(1, command=[sys.executable, "-I", "-S", "-c", FAKE, replies]) as pool:
        with pytest.raises(OracleError, match="breaks the protocol") as caught:
            pool.open(b"any").run(np.zeros((3, 2), np.float32))
        assert caught.value.next_step
        assert pool.pids == []
    assert time.monotonic() - began < 5


def test_a_fake_that_behaves_is_believed():
    replies = [HELLO, loaded(), frame({"ok": "run", "n": 3}, np.arange(6, dtype="<f4").tobytes())]
    command = [sys.executable, "-I", "-S", "-c", FAKE, ",".join(reply.hex() for reply in replies)]
    with OraclePool(1, command=command) as pool:
        result = pool.open(b"any").run(np.zeros((3, 2), np.float32))
    assert np.array_equal(result, np.arange(6).reshape(3, 2))


def test_scale_that_is_not_a_number_is_only_a_fact():
    replies = [HELLO, loaded(scale=[float("nan")]), frame({"ok": "run", "n": 1}, bytes(8))]
    command = [sys.executable, "-I", "-S", "-c", FAKE, ",".join(reply.hex() for reply in replies)]
    with OraclePool(2, command=command) as pool:
        handle = pool.open(b"any")
        pool.load(pool.worker(1), handle)
        assert handle.run(np.zeros((1, 2), np.float32)).shape == (1, 2)
        assert pool.restarts == 0


@pytest.mark.parametrize("dtype", ["object", "str", "float128", 7, None])
def test_types_that_may_not_cross(dtype):
    command = [sys.executable, "-I", "-S", "-c", FAKE, f"{HELLO.hex()},{loaded(dtype=dtype).hex()}"]
    with OraclePool(1, command=command) as pool, pytest.raises(OracleRejected, match="cannot be exchanged"):
        pool.open(b"any")


@pytest.mark.parametrize(
    ("code", "text"), [("raise SystemExit('oh no')", "oh no"), ("import os; os.abort()", "SIGABRT")]
)
def test_worker_that_does_not_start(code, text):
    with OraclePool(1, command=[sys.executable, "-I", "-S", "-c", code]) as pool:
        with pytest.raises(OracleError, match="did not start") as caught:
            pool.open(b"any")
        assert text in str(caught.value.found)
        assert "doctor" in str(caught.value.next_step)


def test_worker_that_never_greets():
    code = "import time; time.sleep(60)"
    limits, command = Limits(start_seconds=0.3), [sys.executable, "-I", "-S", "-c", code]
    with OraclePool(1, limits, command=command) as pool, pytest.raises(OracleError, match="start the worker"):
        pool.open(b"any")


def test_frames_refuse_what_is_over_their_bounds():
    with pytest.raises(ProtocolError, match="frame too large"):
        pack({"x": "y" * 300_000})
    with pytest.raises(ProtocolError, match="frame too large"):
        pack({}, 1 << 40)
    packed = pack({"a": 1}, 5)
    assert unpack_prefix(packed[:16]) == (len(packed) - 16, 5)
    assert parse_header(packed[16:]) == {"a": 1}


def test_text_of_the_runtime_is_made_printable():
    assert clean("a\x1b[1mb\x00\u202ec\nd") == "a [1mb  c\nd"
    assert clean("x" * 100, 10) == "x" * 10


def test_no_oracle_module_can_run_what_it_reads():
    folder = Path(oracle.__file__).parent
    files = sorted(folder.glob("oracle*.py"))
    assert len(files) >= 8
    for file in files:
        tree = ast.parse(file.read_text())
        imported = {name.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for name in n.names}
        imported |= {str(n.module).split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not imported & {"pickle", "marshal", "shelve", "multiprocessing", "ctypes"}, file
        assert not called & {"eval", "exec", "compile", "__import__"}, file


def test_the_worker_imports_little():
    code = "import sys, tinymlsec.target.oracle_worker, tflite_micro; print(*sys.modules)"
    root = str(Path(oracle.__file__).parents[2])
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert not set(out.split()) & {"pydantic", "typer", "rich", "cvss", "jinja2", "matplotlib", "tinymlsec.records"}
