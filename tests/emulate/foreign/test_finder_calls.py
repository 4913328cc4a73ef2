"""Windows of layers and the calls of one whole inference, on memory and calls made by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from emulate.foreign.foreign_images import RAM, complete_images
from tinymlsec.emulate.foreign.finder.blob import Blob
from tinymlsec.emulate.foreign.finder.calls import Call, whole_inference
from tinymlsec.emulate.foreign.finder.layers import LayerWindow, confirms, layer_windows, number_list
from tinymlsec.emulate.foreign.finder.memory import Memory
from tinymlsec.emulate.foreign.finder.static import search

NODES, LISTS = RAM + 0x6000, RAM + 0x6400
BACK, ELSEWHERE = 0x08000900, 0x08000A00


def prepared() -> tuple[Memory, Blob, tuple[LayerWindow, ...], list[int]]:
    """Memory with nodes, the model, its windows and the nodes' addresses."""
    images, _ = complete_images()
    found = search(images.memory)
    assert found.blob is not None
    assert found.registrations is not None
    at, nodes = LISTS, []
    for number, op in enumerate(found.blob.model.main.operators):
        pointers = []
        for side in (op.inputs, op.outputs):
            images.put(at, struct.pack(f"<{1 + len(side)}i", len(side), *side))
            pointers.append(at)
            at += 4 + 4 * len(side)
        nodes.append(NODES + 16 * number)
        images.put(nodes[-1], struct.pack("<II", *pointers))
    windows = layer_windows(found.blob, found.registrations, found.tensors)
    return images.memory, found.blob, windows, nodes


def calls_of(windows: Sequence[LayerWindow], nodes: Sequence[int], back: int = BACK) -> list[Call]:
    return [Call(window.invoke, node, back) for window, node in zip(windows, nodes, strict=True)]


def test_windows_follow_the_model() -> None:
    _, blob, windows, _ = prepared()
    assert [w.operator for w in windows] == [op.label for op in blob.model.main.operators]
    assert [w.hit for w in windows] == [1, 2, 1]
    assert windows[0].invoke == windows[1].invoke != windows[2].invoke
    assert windows[0].outputs == windows[1].inputs[:1]
    assert all(t is not None and t.address for w in windows for t in (*w.inputs, *w.outputs))


def test_no_windows_where_a_kernel_is_missing() -> None:
    images, _ = complete_images()
    found = search(images.memory)
    assert found.blob is not None
    assert found.registrations is not None
    rows = tuple(row for row in found.registrations.rows if row.code != 25)
    assert len(rows) < len(found.registrations.rows)
    less = type(found.registrations)(found.registrations.address, found.registrations.form, rows, False)
    assert layer_windows(found.blob, less, found.tensors) == ()


def test_one_inference_is_found() -> None:
    memory, blob, windows, nodes = prepared()
    found, differs = whole_inference(calls_of(windows, nodes), windows, blob, memory.read)
    assert differs == ""
    assert found is not None
    assert [call.node for call in found.calls] == nodes
    assert found.over_hit == 3


def test_an_inference_that_began_before_is_passed_over() -> None:
    memory, blob, windows, nodes = prepared()
    one = calls_of(windows, nodes)
    found, _ = whole_inference([*one[1:], *one, *one], windows, blob, memory.read)
    assert found is not None
    assert len(found.calls) == len(windows)
    assert whole_inference(one[1:], windows, blob, memory.read)[0] is None
    assert whole_inference([*one[:2], *one[:2]], windows, blob, memory.read)[0] is None


def test_calls_of_another_graph_in_between() -> None:
    """Their nodes are not the main graph's, though the kernels are the same."""
    memory, blob, windows, nodes = prepared()
    one = calls_of(windows, nodes)
    other = Call(windows[0].invoke, RAM + 0x6800, BACK)
    found, _ = whole_inference([one[0], other, one[1], other, one[2]], windows, blob, memory.read)
    assert found is not None
    assert [call.node for call in found.calls] == nodes
    assert found.over_hit == 5


def test_calls_that_return_elsewhere_are_not_counted() -> None:
    memory, blob, windows, nodes = prepared()
    one = calls_of(windows, nodes)
    one[0] = Call(one[0].kernel, one[0].node, ELSEWHERE)
    found, _ = whole_inference(one, windows, blob, memory.read)
    assert found is not None
    assert found.over_hit == 2


def test_what_differs_is_said() -> None:
    memory, blob, windows, nodes = prepared()
    wrong = [nodes[1], nodes[0], nodes[2]]
    found, differs = whole_inference(calls_of(windows, wrong), windows, blob, memory.read)
    assert found is None
    assert "op:0 (FULLY_CONNECTED): inputs" in differs
    assert whole_inference([], windows, blob, memory.read) == (
        None,
        "0 of 3 layers were entered in the model's order",
    )
    assert confirms(windows[0], blob, 0x70000000, memory.read)


def test_lists_that_are_none() -> None:
    memory = prepared()[0]
    assert number_list(memory.read, None) is None
    assert number_list(memory.read, 0x70000000) is None
    huge = Memory((), (type(memory.ram[0])(RAM, struct.pack("<I", 1 << 30)),))
    assert number_list(huge.read, RAM) is None
    short = Memory((), (type(memory.ram[0])(RAM, struct.pack("<II", 3, 1)),))
    assert number_list(short.read, RAM) is None
