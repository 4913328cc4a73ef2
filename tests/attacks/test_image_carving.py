"""image-carving: models come out byte for byte, and random bytes hold none."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from tinymlsec.attacks._twins import linear_twin
from tinymlsec.context import Context
from tinymlsec.evidence import Observation
from tinymlsec.planning import why_not
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.registry import EffortLevel, discover
from tinymlsec.target.firmware import load_image
from tinymlsec.target.given_image import GivenImage
from tinymlsec.target.target import Target

MODEL = linear_twin(8)
RNG = np.random.default_rng(11)
NOISE = RNG.bytes(5000)


def observe(content: bytes, folder: Path | None = None, model: bytes = b"") -> Observation:
    spec = discover().attacks["image-carving"]
    data = NOISE + content + NOISE
    target = Target("t", model, image=GivenImage("t.bin", data, load_image(data, base=0x0800_0000)))
    context = Context(np.random.default_rng(2), lambda _: None, folder)  # type: ignore[arg-type, return-value]
    return spec(target, spec.configure(EffortLevel.QUICK), context)


HIDDEN = {
    "plain": (MODEL, ""),
    "xor": (bytes(b ^ 0xA7 for b in MODEL), "xor:a7"),
    "gzip": (gzip.compress(MODEL), "gzip"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_models_come_out_byte_for_byte(name: str, tmp_path: Path) -> None:
    content, encoding = HIDDEN[name]
    seen = observe(content, tmp_path)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.STATIC
    (model,) = seen.facts["models"]
    assert model == {"kind": "tflite", "address": 0x0800_0000 + len(NOISE), "bytes": len(MODEL), "encoding": encoding}
    assert [a.sha256 for a in seen.artifacts] == [hashlib.sha256(MODEL).hexdigest()]
    assert (tmp_path / seen.artifacts[0].sha256).read_bytes() == MODEL
    assert any(f.id.startswith("CARVE") for f in seen.findings)


def test_random_bytes_are_inconclusive_and_the_controls_hold() -> None:
    seen = observe(b"")
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert seen.positive_control is not None
    assert seen.positive_control.succeeded, seen.positive_control.detail
    assert seen.negative_control is not None
    assert seen.negative_control.succeeded, seen.negative_control.detail


def test_without_an_image_it_is_skipped() -> None:
    reason = why_not(discover().attacks["image-carving"], Target("t", MODEL))
    assert reason is not None
    assert "--firmware" in reason
