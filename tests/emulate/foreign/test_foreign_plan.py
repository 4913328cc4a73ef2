"""Descriptions applied to an image: symbols of C++, near matches, sizes, machines, memories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulate.foreign.foreign_texts import gadget
from tinymlsec.emulate.foreign.description import DescriptionError, description_of
from tinymlsec.emulate.foreign.plan import Plan, plan
from tinymlsec.target.firmware import load_image


def planned(elf: Path, **changes: Any) -> Plan:
    return plan(description_of(gadget(**changes)), load_image(elf))


def test_names_of_cpp_become_addresses(gadget_elf: Path) -> None:
    image = load_image(gadget_elf)
    made = planned(gadget_elf)
    assert made.function == image.symbols["_ZN6gadget14classify_frameEv"].address
    assert made.input.address == image.symbols["_ZN6gadget5frameE"].address
    assert made.hardware.clock is not None
    assert made.hardware.clock.handler == image.symbols["SysTick_Handler"].address
    assert made.core.id == "cortex-m4"


def test_memories_are_read_off_the_image(gadget_elf: Path) -> None:
    regions = {r.name: r for r in planned(gadget_elf).memory.regions}
    assert regions["flash"].address == 0x08000000
    assert (regions["ram"].address, regions["ram"].size) == (0x20000000, 0x10000)
    assert planned(gadget_elf).memory.source == "guessed from the image"


def test_an_offset_and_an_address(gadget_elf: Path) -> None:
    frame = load_image(gadget_elf).symbols["_ZN6gadget5frameE"].address
    made = planned(gadget_elf, input={"at": "gadget::frame+0x10", "bytes": 48}, output={"at": frame, "bytes": 10})
    assert (made.input.address, made.output.address) == (frame + 16, frame)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inference": {"function": "gadget::clasify_frame"}}, "did you mean"),
        ({"inference": {"function": "classify"}}, "gadget::classify_frame"),
        ({"inference": {"function": "zzzzzz"}}, "list them with nm"),
        ({"inference": {"function": 0x09000000}}, "there is no code at 0x09000000"),
        ({"inference": {"function": "gadget::frame"}}, "there is no code"),
        ({"input": {"at": "gadget::frame", "bytes": 63}}, "64 bytes, as the symbol table says"),
        ({"input": {"at": "gadget::frame", "bytes": 64, "pointer": True}}, "64 bytes, as the symbol table says"),
        ({"input": {"at": 0x30000000, "bytes": 64}}, "lie in no memory"),
        ({"core": "cortex-m44"}, "did you mean 'cortex-m4'?"),
        ({"core": "rv32imc"}, "the image is not for RV32IMC"),
        ({"memory": [{"name": "ram", "address": 0x20000000, "size": 65536}]}, "bytes at 0x08000000"),
        (
            {
                "memory": [
                    {"name": "a", "address": 0x20000000, "size": 65536},
                    {"name": "b", "address": 0x2000F000, "size": 65536},
                ]
            },
            "'a' and 'b' overlap",
        ),
    ],
)
def test_what_does_not_fit(gadget_elf: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        planned(gadget_elf, **changes)
    assert words in str(caught.value)


def test_a_name_that_fits_several_symbols(gadget_elf: Path) -> None:
    with pytest.raises(DescriptionError, match="fits several symbols") as caught:
        planned(gadget_elf, inference={"function": "gadget::self_test"})
    assert "_ZN6gadget9self_testEPKa" in str(caught.value)
    assert planned(gadget_elf, inference={"function": "_ZN6gadget9self_testEi"}).function


def test_a_stripped_image_asks_for_addresses(stripped_gadget_elf: Path) -> None:
    with pytest.raises(DescriptionError) as caught:
        planned(stripped_gadget_elf)
    assert "an image without symbols" in str(caught.value)
    assert "doctor --firmware" in str(caught.value)
