"""Damaged files end in ModelFileError with the place, soon and without a crash, whatever was damaged."""

from __future__ import annotations

import time

import pytest

from models.handmade import SEEDS, build, ints, tensor, zoo
from models.malformed import MALFORMED, one_tensor, spans
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.layout import layout, used_bytes
from tinymlsec.target.tflite.reader import read_model


def refusal(data: bytes) -> ModelFileError | None:
    try:
        read_model(data)
    except ModelFileError as error:
        return error
    return None


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_file_is_refused_with_its_place(name: str) -> None:
    data = MALFORMED[name]()
    start = time.perf_counter()
    with pytest.raises(ModelFileError) as caught:
        read_model(data, name="bad.tflite")
    assert time.perf_counter() - start < 2.0
    error = caught.value
    assert error.offset is not None
    assert 0 <= error.offset < len(data)
    assert str(error).startswith("bad.tflite: ")
    assert f"0x{error.offset:x}" in str(error)
    assert error.found
    assert error.expected
    assert error.next_step


@pytest.mark.parametrize("name", SEEDS)
def test_sound_files_are_not_refused(name: str) -> None:
    """The counterpart that keeps the tests above honest: they must not pass because everything is refused."""
    data = SEEDS[name]()
    assert read_model(data).size == len(data)
    assert used_bytes(data) <= len(data)


@pytest.mark.parametrize("name", SEEDS)
def test_truncated_files(name: str) -> None:
    data = SEEDS[name]()
    for end in range(0, len(data) - 1, 7):
        error = refusal(data[:end])
        if error is None:  # only padding or a closing zero, which nothing reads, may be missing
            assert end >= used_bytes(data) - 8
        else:
            assert error.offset is not None or end == 0
            assert 0 <= (error.offset or 0) <= end


@pytest.mark.parametrize("name", ["tensors that overlap", "operators that overlap"])
def test_overlapping_tables_run_out_of_budget(name: str) -> None:
    with pytest.raises(ModelFileError, match="more work than its size explains"):
        read_model(MALFORMED[name]())


def test_the_errors_point_at_the_field() -> None:
    data = bytearray(zoo())
    span = spans(bytes(data))["Operator.inputs", "vector"][0]
    data[span.start + 4 : span.start + 8] = (77).to_bytes(4, "little")
    with pytest.raises(ModelFileError, match=r"operator \d+ refers to a tensor that does not exist") as caught:
        read_model(bytes(data))
    assert caught.value.offset == span.start + 4
    assert caught.value.found == "inputs[0] = 77"


def test_meaning_is_left_to_others() -> None:
    """Faults of meaning are read, so that rules can report them."""
    strange = tensor("t", (1 << 30, 1 << 30), "INT8", 1)
    graph = ("SubGraph", {"Tensors": [strange]})
    model = read_model(
        build({"Version": 9, "Subgraphs": [graph], "Buffers": [("Buffer", {}), ("Buffer", {"Data": b"x"})]})
    )
    assert model.version == 9
    assert model.main.tensors[0].shape == (1 << 30, 1 << 30)
    assert read_model(one_tensor(Type=77)).main.tensors[0].dtype == "unknown_77"
    assert read_model(one_tensor(ShapeSignature=ints(-1))).main.tensors[0].shape_signature == (-1,)


def test_names_that_are_not_utf8_stay_printable() -> None:
    data = one_tensor(Name="AAAA").replace(b"AAAA", b"\xff\xfeA\xc3")
    assert read_model(data).main.tensors[0].name == "\\xff\\xfeA\\xc3"


def test_a_misaligned_file_is_read_all_the_same() -> None:
    shifted = memoryview(b"?" + zoo())[1:]
    ours, straight = read_model(shifted), read_model(zoo())
    assert [t.name for t in ours.main.tensors] == [t.name for t in straight.main.tensors]
    assert [o.options for o in ours.main.operators] == [o.options for o in straight.main.operators]
    assert ours.main.tensors[1].quantization.scale.tolist() == straight.main.tensors[1].quantization.scale.tolist()


def test_layout_spans_are_inside_the_file_and_name_known_fields() -> None:
    data = zoo()
    found = list(layout(data))
    assert all(0 <= s.start < s.end <= len(data) for s in found)
    owners = {s.owner for s in found}
    assert {"SparsityParameters.traversal_order", "CustomQuantization.custom", "Uint8Vector.values"} <= owners
    assert {"VariantSubType.shape", "StablehloScatterOptions.index_vector_dim"} <= owners
