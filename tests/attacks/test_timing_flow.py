"""What depends on the inputs is marked: never less than what changes when inputs change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from emulate.machine.small_firmware import MEMORY, build, zoo
from tinymlsec.attacks.side_channel._timing_flow import Follower, Kind, follow
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.contract import FAILED, Probe, RunEnd
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.machine import Machine
from tinymlsec.emulate.twin import Twin, build_twin
from tinymlsec.examples import digits_model

EVERYTHING = Probe(registers=True, bus=True, values=True, addresses=True)
CORE_IDS = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m4f", "cortex-m7", "cortex-m33", "rv32imc")
ZOO_BYTES = 256
ARM, RISCV = "cortex-m4", "rv32imc"


def twin_of(image: Any, core: str) -> Twin:
    return Twin(None, SimpleNamespace(layers=(), inputs=()), CORES[core], MEMORY, None, image)  # type: ignore[arg-type]


def records(image: Any, core: str, function: str, data: bytes) -> NDArray[Any]:
    with Machine(image, CORES[core], MEMORY) as machine:
        assert machine.boot(image.symbols["idle"].address).end is RunEnd.DONE
        machine.write(image.symbols["zoo_data"].address, data)
        result = machine.call(function, probe=EVERYTHING)
    assert result.end is RunEnd.DONE, result.fault
    return result.records


def changed(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Records of one instruction that did something else."""
    fields = ("value", "hw", "bus", "address")
    return np.any([a[f] != b[f] for f in fields], axis=0) | ((a["flags"] ^ b["flags"]) & FAILED != 0)


@pytest.mark.parametrize("core", CORE_IDS)
def test_every_form_of_instruction_passes_marks_on(core: str) -> None:
    image, rng = zoo(core), np.random.default_rng(4)
    first = records(image, core, "zoo", rng.bytes(ZOO_BYTES))
    follower, marked = Follower(twin_of(image, core)), np.zeros(len(first), np.uint8)
    follower.mark(image.symbols["zoo_data"].address, ZOO_BYTES)
    follower.feed(first, marked)
    seen = np.zeros(len(first), bool)
    for _ in range(6):
        other = records(image, core, "zoo", rng.bytes(ZOO_BYTES))
        assert (other["pc"] == first["pc"]).all()
        differs = changed(first, other)
        assert not (differs & (marked == 0)).any(), [hex(pc) for pc in first["pc"][differs & (marked == 0)]]
        seen |= differs
    assert seen.sum() > 20
    assert marked.sum() < len(first), "something depends on nothing"


@pytest.mark.parametrize(
    ("core", "style"),
    [
        ("cortex-m0plus", "plain"),
        ("cortex-m4", "dsp"),
        ("cortex-m7", "plain"),
        ("cortex-m33", "dsp"),
        ("rv32imc", "unrolled"),
    ],
)
def test_an_inference_changes_nowhere_but_where_it_is_marked(core: str, style: str) -> None:
    rng = np.random.default_rng(7)
    with build_twin(digits_model(), CORES[core], style=Style(style)).start() as started:
        twin, port = started.twin, started.program.inputs[0]

        def run() -> NDArray[Any]:
            started.machine.restore(started.ready)
            codes = rng.integers(-128, 128, port.shape).astype(np.int8)
            started.machine.write(twin.input_address(), codes.tobytes())
            return started.machine.run(started.inference, probe=EVERYTHING).records

        first = run()
        follower, marked = Follower(twin), np.zeros(len(first), np.uint8)
        follower.mark(twin.input_address(), port.bytes)
        follower.feed(first, marked)
        branches = [place for place in follower.places if place.kind is Kind.BRANCH]
        for _ in range(4):
            other = run()
            length = min(len(first), len(other))
            apart = np.flatnonzero(first["pc"][:length] != other["pc"][:length])
            together = int(apart[0]) if len(apart) else length
            differs = changed(first[:together], other[:together])
            assert not (differs & (marked[:together] == 0)).any()
            if len(apart):
                culprit = int(first["pc"][together - 1])
                assert culprit in {place.address for place in branches}


def test_chunks_end_where_the_engine_can_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    with build_twin(digits_model(), CORES["cortex-m4"]).start() as started:
        inputs = [np.zeros(started.program.inputs[0].shape, np.int8)]
        whole = follow(started, inputs)
        monkeypatch.setattr("tinymlsec.attacks.side_channel._timing_flow.CHUNK", 1009)
        parts = follow(started, inputs)
    assert parts.instructions == whole.instructions > 100_000
    assert parts.places == whole.places


CODE = """
    .syntax unified
    .thumb
    .section .text.kept,"ax",%progbits
    .global {name}
    .type {name},%function
    .thumb_func
{name}:
    ldr r0, =zoo_data
    ldr r1, [r0]
{body}
    bx lr
    .pool
    .size {name}, . - {name}
"""


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("cmp r1, #0\n bmi 1f\n nop\n1:", {Kind.BRANCH}),
        ("cbz r1, 1f\n nop\n1:", {Kind.BRANCH}),
        ("cmp r1, #0\n it mi\n addmi r2, #1", {Kind.CONDITIONAL}),
        ("movs r3, #1\n cmp r1, #0\n it mi\n strmi r3, [r0, #4]\n it pl\n strpl r3, [r0, #8]",
         {Kind.CONDITIONAL, Kind.HIDDEN}),
        ("and r2, r1, #7\n ldrb r3, [r0, r2]", {Kind.LOAD}),
        ("and r2, r1, #7\n strb r3, [r0, r2]", {Kind.STORE}),
        ("movs r2, #9\n udiv r2, r2, r1", {Kind.OPERANDS}),
        ("movs r2, #9\n movs r3, #3\n udiv r2, r2, r3\n cmp r2, #3\n beq 1f\n nop\n1:", set()),
        # overflow of what was marked outlives a move that sets zero and negative
        ("adds r2, r1, r1\n movs r3, #0\n bvs 1f\n nop\n1:", {Kind.BRANCH}),
        ("adds r2, r1, r1\n movs r3, #0\n beq 1f\n nop\n1:", set()),
        # inside of a block short forms leave flags alone
        ("cmp r1, #0\n itt ne\n movne r2, #1\n movne r3, #2\n beq 1f\n nop\n1:", {Kind.CONDITIONAL, Kind.BRANCH}),
        ("strb r1, [r0, #8]\n ldrb r2, [r0, #9]\n cbz r2, 1f\n nop\n1:", set()),
        ("strb r1, [r0, #8]\n ldrh r2, [r0, #8]\n cbz r2, 1f\n nop\n1:", {Kind.BRANCH}),
        ("push {r1, r2}\n pop {r2, r3}\n cbz r3, 1f\n nop\n1:", set()),
        ("push {r1, r2}\n pop {r2, r3}\n cbz r2, 1f\n nop\n1:", {Kind.BRANCH}),
        ("movs r2, #0\n smlal r2, r3, r2, r2\n smlal r2, r3, r1, r1\n cbz r3, 1f\n nop\n1:", {Kind.BRANCH}),
    ],
)  # fmt: skip
def test_small_programs(body: str, kinds: set[Kind]) -> None:
    image = build(CORES[ARM], {"code.S": CODE.format(name="probe_me", body=body)})
    follower = Follower(twin_of(image, ARM))
    follower.mark(image.symbols["zoo_data"].address, 4)
    follower.feed(records(image, ARM, "probe_me", bytes(64)))
    assert {place.kind for place in follower.places} == kinds


def test_riscv_branches_and_divisions() -> None:
    code = (
        '.section .text.kept,"ax",@progbits\n.global probe_me\n.type probe_me,@function\nprobe_me:\n'
        " la a0, zoo_data\n lw a1, 0(a0)\n li a2, 7\n divu a3, a2, a1\n lw a4, 4(a0)\n bnez a4, 1f\n nop\n"
        "1: bgez a1, 2f\n nop\n2: andi a5, a1, 4\n add a5, a5, a0\n lbu a5, 0(a5)\n ret\n.size probe_me, . - probe_me\n"
    )
    image = build(CORES[RISCV], {"code.S": code})
    follower = Follower(twin_of(image, RISCV))
    follower.mark(image.symbols["zoo_data"].address, 4)
    follower.feed(records(image, RISCV, "probe_me", bytes(64)))
    assert [place.kind for place in follower.places] == [Kind.OPERANDS, Kind.BRANCH, Kind.LOAD]


def test_code_outside_of_the_image_is_told() -> None:
    from tinymlsec.errors import MachineError

    follower = Follower(twin_of(zoo(ARM), ARM))
    with pytest.raises(MachineError, match="outside"):
        follower.flow_at(0x20000000)
