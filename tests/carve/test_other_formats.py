"""ExecuTorch programs and ONNX models in images; headers of programs that contradict what they hold."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from carve.corpus import KINDS, as_file
from carve.other_formats import Program, onnx
from carve.surroundings import FLASH, firmware, image_of
from tinymlsec.errors import ModelFileError
from tinymlsec.scan.images import ImageScan, scan_image
from tinymlsec.scan.programs import scan_program
from tinymlsec.scan.records import FileKind

RNG = np.random.default_rng(9)
BEFORE, AFTER = firmware(RNG), firmware(RNG)


def scan(content: bytes, kind: str = "bin") -> ImageScan:
    return scan_image(as_file(image_of([BEFORE, content, AFTER]), kind))


def carve_ids(found: ImageScan) -> list[str]:
    return [finding.id for finding in found.findings if finding.id.startswith("CARVE")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["pte", "onnx", "onnx without producer", "pte packed", "onnx packed"])
def test_it_is_found_whole(what: str, kind: str) -> None:
    data = Program().build() if what.startswith("pte") else onnx("" if "without" in what else "tf2onnx")
    packed = "packed" in what
    found = scan(zlib.compress(data) if packed else data, kind)
    assert found.models == (data,)
    assert found.contained[0].kind is (FileKind.PTE if what.startswith("pte") else FileKind.ONNX)
    assert found.contained[0].address == FLASH + 0x100 + len(BEFORE)
    assert found.contained[0].encoding == ("zlib" if packed else "")
    assert carve_ids(found) == ["CARVE-05" if what.startswith("pte") else "CARVE-06"]


GOOD = Program()
BAD = {
    "segment behind the end": (replace(GOOD, segment=(0, 1 << 40)), "segment 0 ends at byte"),
    "sum that wraps in 64 bits": (replace(GOOD, segment=((1 << 64) - 16, 32)), "segment 0 ends at byte"),
    "no such constant": (replace(GOOD, buffer=7), "refers to constant 7, expected below 2"),
    "negative size": (replace(GOOD, sizes=(4, -1)), "expected none below 0"),
    "sizes that overflow": (replace(GOOD, sizes=(65_536, 65_536)), "product below 2^31"),
    "constant behind its segment": (replace(GOOD, constants=(0, 600)), "a constant begins at byte 600"),
    "short header": (replace(GOOD, header_length=16), "16 bytes, expected at least 24"),
    "no place of segments": (replace(GOOD, base=0), "no extended header that says where they begin"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_header_that_contradicts_its_content_is_told(name: str) -> None:
    program, words = BAD[name]
    found = scan(program.build())
    assert carve_ids(found) == ["CARVE-05", "CARVE-07"]
    (finding,) = (each for each in found.findings if each.id == "CARVE-07")
    assert words in finding.message
    assert finding.location.address == FLASH + 0x100 + len(BEFORE)


def test_cut_and_damaged_files_are_no_findings() -> None:
    program, model = Program().build(), onnx()
    for content in (program[:60], model[:100], program[:8] + bytes(800), model.replace(b"\x3a", b"\x39", 1)):
        assert carve_ids(scan(content)) == []


class TestProgramFiles:
    """A .pte file that is scanned by itself."""

    def test_a_good_one_has_no_finding(self) -> None:
        assert scan_program(GOOD.build()) == ()

    @pytest.mark.parametrize("name", BAD)
    def test_contradictions_are_findings(self, name: str) -> None:
        program, words = BAD[name]
        (finding,) = scan_program(program.build())
        assert finding.id == "CARVE-07"
        assert words.lower() in finding.message.lower()

    def test_one_that_cannot_be_read_is_an_error(self) -> None:
        with pytest.raises(ModelFileError, match="cannot be read"):
            scan_program(b"\x14\0\0\0ET12" + bytes(60))
