"""The firmware twin of a target: there or not for a reason, and exact."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from tinymlsec.capabilities import Capability
from tinymlsec.emulate.contract import MemoryMap, Region
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.twin import build_twin
from tinymlsec.errors import CapabilityMissing
from tinymlsec.examples import digits_model
from tinymlsec.target.device import load_device
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.reader import read_model


def target_of(device: str | None) -> Target:
    data = digits_model()
    return Target("digits", data, read_model(data), device=load_device(device) if device else None)


def test_inferences_equal_the_runtime() -> None:
    data = digits_model()
    codes = np.random.default_rng(1).integers(-128, 128, (12, 1, 8, 8, 1), np.int8)
    with build_twin(data, CORES["cortex-m4"]).start() as twin:
        shape = twin.program.inputs[0].shape
        ours = twin.infer(codes.reshape(-1, *shape))[0]
        count = twin.count().instructions
    with OraclePool(workers=1) as pool:
        theirs = pool.open(data).run(codes.reshape(-1, *shape))
    assert (ours == theirs.reshape(ours.shape)).all()
    assert count > 10_000


def test_a_board_with_an_engine_has_firmware() -> None:
    target = target_of("stm32l4r5zi")
    assert Capability.FIRMWARE in target.capabilities
    assert target.twin().core.id == "cortex-m4f"
    assert target.twin() is target.twin()
    assert target.twin("dsp") is not target.twin()


@pytest.mark.parametrize(("device", "words"), [(None, "name the board"), ("esp32", "Xtensa")])
def test_why_there_is_none(device: str | None, words: str) -> None:
    target = target_of(device)
    assert Capability.FIRMWARE not in target.capabilities
    assert words in target.why_missing(Capability.FIRMWARE)
    with pytest.raises(CapabilityMissing, match=words):
        target.twin()


def test_a_model_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    small = MemoryMap((Region("flash", 0x08000000, 4096, "rx"), Region("ram", 0x20000000, 4096, "rwx")), "test")
    monkeypatch.setattr("tinymlsec.emulate.memory_maps.memory_map", lambda device, core: small)
    with pytest.raises(CapabilityMissing, match="does not fit"):
        target_of("stm32l4r5zi").twin()
