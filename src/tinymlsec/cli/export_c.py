"""`tinymlsec export-c`: a model as a C library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinymlsec.emulate.codegen import Style
    from tinymlsec.emulate.contract import Core, MemoryMap


def export_c(
    model: Annotated[Path, typer.Argument(help="A .tflite file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to make; it must not exist or be empty.")],
    style: Annotated[
        str, typer.Option(help="Inner loops: plain, unrolled (by four) or dsp (two products an instruction).")
    ] = "plain",
    device: Annotated[
        str | None, typer.Option(help="Device id: adds start-up code and a linker script, and checks that it fits.")
    ] = None,
) -> int:
    """Write a model as readable C that computes exactly what the device's runtime computes."""
    from tinymlsec.cli.terminal import console, plain
    from tinymlsec.emulate.codegen import generate
    from tinymlsec.emulate.codegen.project import project_files, write_project
    from tinymlsec.target.tflite.reader import read_model_file

    chosen = _style(style)
    graph, _ = read_model_file(model)
    program = generate(graph, chosen)
    write_project(project_files(program, model.name, _board(device)), out)
    console().print(
        f"wrote {plain(str(out))}: {len(program.layers)} layers, {program.weights_bytes} bytes of weights and tables, "
        f"{program.arena.bytes} bytes of activations; README.md there tells how to build it"
    )
    return 0


def _style(name: str) -> Style:
    from tinymlsec.emulate.codegen import Style
    from tinymlsec.errors import UsageError

    if name not in list(Style):
        raise UsageError("unknown style of inner loops", found=name, expected=", ".join(Style))
    return Style(name)


def _board(device: str | None) -> tuple[str, Core, MemoryMap] | None:
    from tinymlsec.emulate.cores import core_for
    from tinymlsec.emulate.memory_maps import memory_map
    from tinymlsec.errors import DeviceError
    from tinymlsec.target.device import load_device

    if device is None:
        return None
    record = load_device(device)
    choice = core_for(record)
    if choice.core is None:
        raise DeviceError(
            f"no firmware is generated for {record.name}", found=choice.reason,
            next_step="leave --device out: the library itself is portable C",
        )  # fmt: skip
    return record.id, choice.core, memory_map(record, choice.core)
