"""The process in which firmware is emulated, and the only place where it is.

It is confined as the oracle's worker is: bare environment, limits on memory and files, no child processes, and it ends
with its parent. Requests come as frames (`target/oracle_protocol.py`); everything of no fixed size goes through memory
that parent and worker share.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from tinymlsec.emulate.engine import library as lib
from tinymlsec.emulate.engine.emulator import Emulator
from tinymlsec.emulate.engine.running import Running
from tinymlsec.emulate.engine.shared import Shared
from tinymlsec.target.oracle_protocol import VERSION, ProtocolError
from tinymlsec.target.oracle_worker import EXIT_PROTOCOL, Channel, confine, end_with_parent, limit_cpu, seal


class MachineWorker:
    """Answers requests on one emulated device."""

    def __init__(self, channel: Channel, shared: Shared) -> None:
        self.channel, self.shared = channel, shared
        self.running: Running | None = None
        self.actions: dict[str, Callable[[Mapping[str, Any], bytearray], dict[str, Any]]] = {
            "load": self._load, "run": self._run, "read": self._read, "write": self._write,
            "registers": self._registers, "snapshot": self._snapshot, "restore": self._restore, "drop": self._drop,
            "bench": self._bench, "campaign": self._campaign,
        }  # fmt: skip

    @property
    def machine(self) -> Running:
        """What was loaded."""
        if self.running is None:
            raise ValueError("nothing is loaded")
        return self.running

    def _load(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        self.running = Running(Emulator(request, request["tracer"]), request["hardware"], self.shared)
        at = 0
        for address, size in request["segments"]:
            self.running.emulator.write(address, bytes(payload[at : at + size]))
            at += size
        return {"idle": self.running.emulator.idle}

    def _run(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        return self.machine.run(request, payload)

    def _campaign(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        return self.machine.campaign(request, payload)

    def _read(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        self.shared.put(self.machine.emulator.read(request["address"], request["size"]))
        return {}

    def _write(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        self.machine.emulator.write(request["address"], bytes(payload))
        return {}

    def _registers(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        return {"registers": self.machine.emulator.registers()}

    def _snapshot(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        return {"snapshot": self.machine.snapshot()}

    def _restore(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        self.machine.restore(request["snapshot"])
        return {}

    def _drop(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        self.machine.drop(request["snapshot"])
        return {}

    def _bench(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        report = self.machine.bench.report
        texts = [(name, len(text)) for name, text in report.text.items()]
        self.shared.put(b"".join(report.text.values()))
        touched = [(address, *pair) for address, pair in report.touched.items()]
        return {"texts": texts, "touched": touched, "ticks": report.ticks, "exit_code": report.exit_code}

    def serve(self) -> None:
        """Answers requests until the parent is gone."""
        while True:
            request, payload = self.channel.receive()
            limit_cpu(request["cpu"])
            try:
                self.channel.send({"ok": request["op"], **self.actions[request["op"]](request, payload)})
            except ProtocolError:
                raise
            except Exception as error:  # what the engine or its binding raises is the answer
                self.channel.send({"error": type(error).__name__, "message": str(error)[:2000]})


def main(argument: str) -> None:
    """Entry point: confines the process, then answers requests.

    Args:
        argument: JSON object with ``memory`` (bytes), ``life``, ``progress`` and ``extra`` (file descriptors).
    """
    config = json.loads(argument)
    confine(config["memory"])
    end_with_parent(config["life"])
    channel = Channel(0, os.dup(1))
    os.dup2(2, 1)
    shared = Shared(config["extra"][0])
    for name in ("capstone", "unicorn"):  # before the process is closed off
        import_module(name)
    worker = MachineWorker(channel, shared)
    seal_later(worker)
    channel.send({"hello": VERSION, "modules": len(sys.modules)})
    try:
        worker.serve()
    except ProtocolError:
        os._exit(EXIT_PROTOCOL)


def seal_later(worker: MachineWorker) -> None:
    """Closes the process off once the tracer's library is loaded, which is a file to open."""
    load = worker.actions["load"]

    def first(request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        lib.load(request["tracer"])
        seal()
        worker.actions["load"] = load
        return load(request, payload)

    worker.actions["load"] = first
