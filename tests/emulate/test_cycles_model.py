"""Cycles of small programs, computed by hand from the vendors' tables."""

from __future__ import annotations

import pytest

pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from emulate.cycles_helper import image
from tinymlsec.emulate.cycles import Span, cycle_model
from tinymlsec.emulate.cycles.instruction import UnknownInstruction
from tinymlsec.errors import DeviceError

BASE = 0x0800_0000


def cost(core: str, code: str, counts: dict[int, tuple[int, int]]) -> Span:
    return cycle_model(core).cost({BASE + offset: pair for offset, pair in counts.items()}, image(code))


def once(core: str, code: str, *offsets: int) -> Span:
    return cost(core, code, dict.fromkeys(offsets, (1, 0)))


def test_loop_on_m4() -> None:
    # adds r0, r0, r1 ; subs r2, #1 ; bne back: 10 rounds, taken 9 times with a refill of 1 to 3
    assert cost("cortex-m4", "4018 013a fcd1", {0: (10, 0), 2: (10, 0), 4: (10, 9)}) == Span(30 + 9, 30 + 27)


def test_loop_on_m0plus_is_a_point() -> None:
    assert cost("cortex-m0plus", "4018 013a fcd1", {0: (10, 0), 2: (10, 0), 4: (10, 9)}) == Span(39, 39)


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4"])
def test_loads_in_a_row_are_pipelined_where_both_go_to_one_memory(core: str) -> None:
    # ldr r0,[r1] ; ldr r2,[r3]: three cycles, the manual's own example; four where they go to flash and RAM
    assert once(core, "0868 1a68", 0, 2) == Span(3, 4)


def test_load_whose_address_was_just_loaded_is_not_pipelined() -> None:
    # ldr r0,[r1] ; ldr r2,[r0]
    assert once("cortex-m4", "0868 0268", 0, 2) == Span(4, 4)


def test_load_after_a_load_with_base_update_may_be_pipelined() -> None:
    # ldrb r2,[r0],#1 ; ldr r1,[r3]
    assert once("cortex-m4", "10f8012b 1968", 0, 4) == Span(3, 4)


def test_load_then_store_are_pipelined_and_stores_cost_by_their_address() -> None:
    # ldr r0,[r1,r2] ; str r0,[r3,#20]: three by the manual's example, two as measured
    assert once("cortex-m4", "8858 5861", 0, 2) == Span(2, 3)
    # ldr r0,[r1,r2] ; str r1,[r3,r2]: three by the manual's example, four where they go to two memories
    assert once("cortex-m4", "8858 9950", 0, 2) == Span(3, 4)
    assert once("cortex-m4", "5861", 0) == Span(1, 1)  # str r0,[r3,#20]
    assert once("cortex-m4", "d851", 0) == Span(2, 2)  # str r0,[r3,r7]


def test_a_load_after_a_store_may_wait_for_it() -> None:
    # str r0,[r3,#20] ; ldr r1,[r2]
    assert once("cortex-m4", "5861 1168", 0, 2) == Span(3, 4)
    assert once("cortex-m0plus", "5861 1168", 0, 2) == Span(4, 4)


def test_address_from_the_instruction_before_stalls() -> None:
    # adds r0, r0, r1 ; ldr r2, [r0]
    assert once("cortex-m4", "4018 0268", 0, 2) == Span(1 + 2 + 1, 1 + 2 + 1)


def test_a_branch_target_is_not_pipelined_into() -> None:
    # ldr r0,[r1] ; ldr r2,[r3] ; b back to the second: the first time after a load, then nine times after a branch
    code = "0868 1a68 fde7"
    found = cost("cortex-m4", code, {0: (1, 0), 2: (10, 0), 4: (9, 9)})
    straight, loop = (2 + 1, 2 + 2), 9 * 2
    assert found == Span(straight[0] + loop + 9 * 2, straight[1] + loop + 9 * 4)


def test_registers_in_lists_cost_one_each() -> None:
    assert once("cortex-m4", "10b5", 0) == Span(3, 3)  # push {r4, lr}
    assert once("cortex-m4", "10bd", 0) == Span(3 + 1, 3 + 3)  # pop {r4, pc}
    assert once("cortex-m4", "2de9f047", 0) == Span(9, 9)  # push {r4-r10, lr}
    assert once("cortex-m4", "d3e90023", 0) == Span(3, 3)  # ldrd r2, r3, [r3]
    assert once("cortex-m4f", "b0ec0a0b", 0) == Span(11, 11)  # vldmia r0!, {d0-d4}: ten words


def test_multiplication_and_division_by_core() -> None:
    assert once("cortex-m3", "80fb0123", 0) == Span(3, 5)  # smull r2, r3, r0, r1
    assert once("cortex-m4", "80fb0123", 0) == Span(1, 1)
    assert once("cortex-m3", "00fb0123", 0) == Span(2, 2)  # mla r3, r0, r1, r2
    assert once("cortex-m4", "00fb0123", 0) == Span(1, 1)
    assert once("cortex-m4", "b0fbf1f2", 0) == Span(2, 12)  # udiv r2, r0, r1
    assert once("cortex-m4", "20fb0132", 0) == Span(1, 1)  # smlad r2, r0, r1, r3


def test_calls_on_m0plus_cost_by_their_kind() -> None:
    assert once("cortex-m0plus", "fff7feff", 0) == Span(3, 3)  # bl
    assert once("cortex-m0plus", "9847", 0) == Span(2, 2)  # blx r3
    assert once("cortex-m0plus", "7047", 0) == Span(2, 2)  # bx lr


def test_failed_condition_costs_one_cycle() -> None:
    # it eq ; ldreq r0, [r1]: of ten runs seven fail
    found = cost("cortex-m4", "08bf 0868", {0: (10, 0), 2: (10, 7)})
    assert found == Span(3 * 2 + 7, 10 + 3 * 2 + 7)


def test_a_return_in_an_it_block_may_have_been_skipped_each_time() -> None:
    # it eq ; bxeq lr ; bx lr: counts mark both takens and failures of the second
    found = cost("cortex-m4", "08bf 7047 7047", {0: (10, 0), 2: (10, 10), 4: (4, 4)})
    assert found == Span(0 + 10 + 4 * 2, 10 + 10 * 4 + 4 * 4)
    # of itt only two instructions are conditional: the return after them is not
    assert cost("cortex-m4", "04bf 0130 0131 7047", {0: (1, 0), 2: (1, 0), 4: (1, 0), 6: (1, 1)}).low == 4


def test_flash_raises_the_upper_bound_only() -> None:
    model = cycle_model("cortex-m4")
    assert model.cost({BASE: (4, 0)}, image("4018"), flash_cycles=50) == Span(4, 54)


def test_functions_add_up_to_the_total() -> None:
    model = cycle_model("cortex-m4")
    counts = {BASE + 2 * i: (i + 1, 0) for i in range(6)}
    found = model.per_address(counts, image("4018" * 6))
    parts = found.within(BASE, BASE + 4) + found.within(BASE + 4, BASE + 12)
    assert parts == found.total == Span(21, 21)


def test_branches_of_m33_issue_with_their_neighbor() -> None:
    # adds r0, r0, r1 ; subs r2, #1 ; bne back: none where it is not taken, one to three where it is
    assert cost("cortex-m33", "4018 013a fcd1", {0: (10, 0), 2: (10, 0), 4: (10, 9)}) == Span(20 + 9, 30 + 18)


def test_two_instructions_a_cycle_are_the_best_of_m7() -> None:
    # smlad r2, r0, r1, r3 ; adds r0, r0, r1
    assert once("cortex-m7", "20fb0132 4018", 0, 4).low == 1
    assert once("cortex-m7", "0fcb", 0) == Span(2, 5)  # ldm r3, {r0-r3}


def test_riscv_program() -> None:
    # add a0,a0,a1 ; mul a0,a0,a1 ; c.lw a0,0(a1) ; add a0,a0,a1 after the load ; bne taken twice of three
    code = "3305b500 3305b502 8841 3305b500 e31ab5fe"
    found = cost("rv32imc", code, {0: (3, 0), 4: (3, 0), 8: (3, 0), 10: (3, 0), 14: (3, 2)})
    assert found == Span(3 * (1 + 1 + 1 + 1 + 1), 3 * (1 + 4 + 2 + 2 + 1) + 2 * 3)


def test_every_bound_is_ordered_on_every_core() -> None:
    code = "4018 0868 1a68 0268 10b5 10bd fcd1 7047"
    for core in ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m4f", "cortex-m7", "cortex-m33"):
        span = cost(core, code, {2 * i: (7, 3 if i == 6 else 0) for i in range(8)})
        assert 0 < span.low <= span.high


def test_address_outside_of_the_image_is_named() -> None:
    with pytest.raises(UnknownInstruction, match="0x08000010"):
        cost("cortex-m4", "4018", {16: (1, 0)})


def test_bytes_that_are_no_instruction_are_named() -> None:
    with pytest.raises(UnknownInstruction, match="0x08000000"):
        cost("rv32imc", "00000000", {0: (1, 0)})


def test_unknown_core_is_named() -> None:
    with pytest.raises(DeviceError, match="z80"):
        cycle_model("z80")
