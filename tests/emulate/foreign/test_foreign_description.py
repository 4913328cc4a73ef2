"""Target descriptions: what they take, what they refuse, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulate.foreign.foreign_texts import GADGET, gadget
from tinymlsec.emulate.foreign.description import DescriptionError, description_of, read_description


def test_a_description_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "gadget.toml"
    path.write_text(GADGET)
    description = read_description(path)
    assert description.inference.returns == 0x51
    assert description.uart[0].register_at == 0x40004428
    assert description.peripheral[0].register_values[0].reads == 0x80
    assert description.boot.start == "vector_table"


def test_an_address_may_be_written_as_text() -> None:
    description = description_of(gadget(input={"at": "0x20000100", "bytes": 64}))
    assert description.input.at == 0x20000100


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cores": "cortex-m4"}, "unknown key 'cores'"),
        ({"core": None}, "either `core` or `device`"),
        ({"device": "stm32l4r5zi"}, "either `core` or `device`"),
        ({"boot": {"start": "none", "until": "main"}}, "no `until`"),
        ({"boot": {}}, "the place where start-up is over"),
        ({"boot": {"until": "main", "instructions": 10**13}}, "boot.instructions"),
        ({"input": {"bytes": 64}}, 'input with `at`, or "input" among inference.arguments'),
        ({"input": {"at": "x", "bytes": 0}}, "input.bytes"),
        ({"input": {"at": "x", "bytes": 1 << 40}}, "input.bytes"),
        ({"input": {"at": "x", "bytes": 6, "type": "int32"}}, "a multiple of 4 bytes"),
        ({"input": {"at": "x", "bytes": 6, "type": "int31"}}, "input.type"),
        ({"input": {"at": "a b;c", "bytes": 6}}, "input.at"),
        ({"input": {"at": 1 << 32, "bytes": 6}}, "input.at"),
        ({"input": {"at": True, "bytes": 6}}, "input.at"),
        ({"stub": [{"function": "f", "returns": -1}]}, "stub.0.returns"),
        ({"stub": [{"function": "f"}] * 65}, "stub"),
        ({"uart": [{"name": "u"}]}, "either `function` or `register`"),
        ({"uart": [{"function": "f", "register": 4}]}, "either `function` or `register`"),
        ({"systick": {"every": 1000}}, "either `handler` or `counter`"),
        ({"systick": {"every": 1, "handler": "f"}}, "systick.every"),
        ({"peripheral": [{"name": "p", "address": 0x40000010}]}, "a multiple of 4096"),
        ({"peripheral": [{"name": "p", "address": 0xFFFFF000, "size": 8192}]}, "below 0x100000000"),
        ({"peripheral": [{"name": "p", "address": 0, "register": [{"offset": 4096, "reads": 0}]}]}, "inside of"),
        ({"peripheral": [{"name": "p", "address": 0, "reads": "random"}]}, "reads"),
        ({"memory": [{"name": "m", "address": 0, "size": 1 << 33}]}, "memory.0.size"),
        ({"memory": [{"name": "m", "address": 0, "size": 64, "access": "xw"}]}, "memory.0.access"),
        ({"semihosting": "perhaps"}, "semihosting"),
        ({"inference": {"function": "f", "arguments": list(range(9))}}, "inference.arguments"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        description_of(gadget(**changes))
    assert words in str(caught.value)


def test_an_unknown_key_names_its_line_and_the_closest_one(tmp_path: Path) -> None:
    path = tmp_path / "gadget.toml"
    path.write_text(GADGET.replace("every = 2000", "evry = 2000"))
    with pytest.raises(DescriptionError) as caught:
        read_description(path)
    assert "line 23: unknown key 'systick.evry'" in str(caught.value)
    assert "did you mean 'every'?" in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"core = ", b"a" * 70_000, b"core = 'cortex-m4'"])
def test_files_that_are_no_descriptions(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(DescriptionError):
        read_description(path)
    with pytest.raises(DescriptionError):
        read_description(tmp_path)
