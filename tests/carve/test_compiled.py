"""Weights compiled into firmware: located against the model, rearranged or not, and told by their statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carve.corpus import SHARED, as_file, models
from carve.surroundings import FLASH, code, firmware, image_of, tables, texts
from tinymlsec.scan.images import scan_image
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.compiled import locate_models
from tinymlsec.target.firmware.carve.entropy import Content, entropy_map
from tinymlsec.target.firmware.carve.located import Grams, Located, locate
from tinymlsec.target.firmware.carve.runs import Run
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model

RNG = np.random.default_rng(21)
KERNEL = np.clip(RNG.normal(0, 35, (24, 3, 3, 16)), -127, 127).astype(np.int8)
TWINS = {
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
    "vww": "mlperf_tiny_vww/vww_96_int8.tflite",
}


def convolution() -> bytes:
    builder = GraphBuilder("one convolution")
    x = builder.input((1, 8, 8, 16), "int8", scale=0.1)
    w = builder.constant(KERNEL, scale=[0.01] * 24)
    b = builder.constant(RNG.integers(-9000, 9000, 24).astype(np.int32), scale=[0.001] * 24)
    options = {"padding": 0, "stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1}
    builder.output(builder.op("CONV_2D", [x, w, b], scale=0.2, options=options))
    return builder.tobytes()


MODEL = convolution()


def located(content: bytes, model: bytes = MODEL) -> Located:
    return locate(read_model(model), Grams((Run(FLASH, b"\0" * 32 + content + code(RNG, 4000)),)), Budget(10))


LAYOUTS = {
    "as in the file": KERNEL.tobytes(),
    "128 added": (KERNEL.view(np.uint8) ^ 0x80).tobytes(),
    "dimensions in the order 1,2,3,0": KERNEL.transpose(1, 2, 3, 0).tobytes(),
    "dimensions in the order 0,3,1,2": KERNEL.transpose(0, 3, 1, 2).tobytes(),
}


@pytest.mark.parametrize("form", LAYOUTS)
def test_a_kernel_is_located_however_its_dimensions_lie(form: str) -> None:
    (kernel,) = (each for each in located(LAYOUTS[form]).constants if each.size > 1000)
    assert (kernel.form, kernel.address) == (form, FLASH + 32)
    assert kernel.found == kernel.size > 0.99 * KERNEL.size


@pytest.mark.parametrize("shift", range(8))
def test_rows_that_are_padded_or_in_another_order_are_located(shift: int) -> None:
    rows = [KERNEL[n].tobytes() + b"\0\x01\x02"[: shift % 4] for n in RNG.permutation(24)]
    (kernel,) = (each for each in located(bytes(shift) + b"".join(rows)).constants if each.size > 1000)
    assert kernel.found >= 0.97 * kernel.size


def test_of_half_the_rows_half_is_located_and_of_another_model_nothing() -> None:
    half = located(KERNEL[:12].tobytes())
    assert 0.4 < half.share < 0.55
    other = np.clip(RNG.normal(0, 35, KERNEL.shape), -127, 127).astype(np.int8)
    assert located(other.tobytes()).share < 0.001
    assert located(b"").share == 0.0


def test_constants_that_tell_nothing_are_not_counted() -> None:
    builder = GraphBuilder("zeros")
    x = builder.input((1, 64), "int8", scale=0.1)
    w = builder.constant(np.zeros((64, 64), np.int8), scale=0.01)
    builder.output(builder.op("FULLY_CONNECTED", [x, w, -1], scale=0.2, options={}))
    assert located(bytes(9000), builder.tobytes()).size == 0


def test_the_finding_names_share_and_place_and_a_carved_model_is_not_said_twice() -> None:
    content = [firmware(RNG), KERNEL.tobytes(), firmware(RNG)]
    scan = scan_image(as_file(image_of(content), "elf"), models=(MODEL,))
    (finding,) = (each for each in scan.findings if each.id.startswith("CARVE"))
    assert finding.id == "CARVE-04"
    assert finding.message.startswith("97.") or finding.message.startswith("98.")  # the bias is not there
    assert finding.location.address == FLASH + 0x100 + len(content[0])
    whole = scan_image(as_file(image_of([firmware(RNG), MODEL]), "bin"), models=(MODEL,))
    assert [each.id for each in whole.findings if each.id.startswith("CARVE")] == ["CARVE-01"]


class TestStatistics:
    """The map of contents, and stretches that look like weights."""

    weights = np.clip(RNG.normal(0, 28, 16_384), -127, 127).astype(np.int8).tobytes()

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (bytes(8192), Content.ZEROS), (b"\xff" * 8192, Content.ERASED), (texts(RNG, 200)[:8192], Content.TEXT),
            (code(RNG, 4096), Content.CODE), (RNG.bytes(8192), Content.DENSE), (weights, Content.WEIGHTS),
            (tables(RNG, 1400), Content.DATA),
        ],
    )  # fmt: skip
    def test_blocks_are_told_apart(self, content: bytes, expected: Content) -> None:
        found = entropy_map(content)
        assert sum(each is expected for each in found.content) >= 0.8 * len(found.content)

    def test_entropy_is_that_of_the_definition(self) -> None:
        data = bytes(range(256)) * 4 + bytes(512) + b"\x01" * 512
        assert entropy_map(data).entropy.tolist() == pytest.approx([8.0, 1.0])

    def test_a_stretch_of_weights_is_one_finding_of_low_confidence(self) -> None:
        scan = scan_image(as_file(image_of([firmware(RNG), self.weights, firmware(RNG)]), "uf2"))
        (finding,) = (each for each in scan.findings if each.id.startswith("CARVE"))
        assert (finding.id, finding.confidence.value) == ("CARVE-08", "low")


def _share(data: bytes, elf: bytes) -> float:
    (found,) = locate_models(scan_image(elf).file.carved, (data,))
    return found.share


def _built(data: bytes | Model) -> bytes:
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    from tinymlsec.emulate.cores import CORES
    from tinymlsec.emulate.twin import build_twin

    return build_twin(data, CORES["cortex-m4"]).build.elf.read_bytes()


def test_the_weights_of_our_own_firmware_are_located() -> None:
    digits, elf = models()["digits"], _built(models()["digits"])
    assert _share(digits, elf) >= 0.8
    assert _share(MODEL, elf) < 0.01
    assert any(f.id == "CARVE-04" for f in scan_image(elf, models=(digits,)).findings)


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_the_weights_of_firmware_of_real_models_are_located(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = SHARED / TWINS[name]
    if not path.is_file():
        pytest.skip("real models (../shared/data) are not on this machine")
    data = Path(path).read_bytes()
    elf = _built(data)
    share = _share(data, elf)
    with capsys.disabled():
        print(f"\n{name}: {share:.2%} of the weight bytes located")
    assert share >= 0.8
