"""C text of what runs: one function a layer, one output pixel of layers with weights, and the calls of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from tinymlsec.emulate.codegen.lowering import Lowered, Place, tensor_name
from tinymlsec.emulate.codegen.parts import HEAD, Part, Whole, describe, layer_symbol, pixel_signature
from tinymlsec.emulate.codegen.text import safe
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Subgraph
from tinymlsec.target.tflite.schema import byte_size


def pixels_file(whole: Whole) -> str:
    """Apart from the layers that call them, so that no compiler merges the two."""
    parts = [
        f"{HEAD}/* One output pixel of each layer with weights. */\n"
        f"{_includes(whole, ('tms_layers', 'tms_memory', 'tms_tables'), pixels=True)}"
    ]
    for part in whole.parts:
        for where, lowered in zip(part.places, part.lowered, strict=True):
            if lowered.pixel:
                parts.append(
                    f"{_title(where)} */\n{_statics(lowered)}{_function(pixel_signature(where), lowered.pixel)}"
                )
    return "\n".join(parts)


def layers_file(whole: Whole) -> str:
    """Memory, layers, `tms_init`, `tms_reset` and `tms_infer`."""
    main = whole.parts[0].graph
    headers = ("tms_model", "tms_layers", "tms_memory", "tms_tables", "kernels/compiler", "kernels/memory")
    parts = [
        f"{HEAD}{_includes(whole, headers, pixels=False)}",
        "TMS_ALIGNED(16) uint8_t tms_arena[TMS_ARENA_BYTES];\n"
        + "".join(f"TMS_ALIGNED(16) uint8_t {v.pointer}[{max(v.bytes, 1)}];\n" for v in whole.variables),
        _ports("input", main, main.inputs),
        _ports("output", main, main.outputs),
    ]
    for part in whole.parts:
        parts += [_layer(part, number) for number in range(len(part.places))]
    return "\n".join([*parts, _reset(whole), _infer(whole)])


def _includes(whole: Whole, own: tuple[str, ...], *, pixels: bool) -> str:
    """Our headers, then those of the kernels that pixel functions, or the layers themselves, call."""
    every = (lowered for part in whole.parts for lowered in part.lowered)
    stems = {f"kernels/{stem}" for lowered in every if bool(lowered.pixel) is pixels for stem in lowered.kernels}
    return "".join(f'#include "{name}.h"\n' for name in (*own, *sorted(stems - {*own})))


def _ports(kind: str, main: Subgraph, indices: tuple[int, ...]) -> str:
    pointers = ", ".join(f"(void *){tensor_name(main, i)}" for i in indices) or "0"
    sizes = ", ".join(str(_bytes(main, i)) for i in indices) or "0"
    return f"void *const tms_{kind}[] = {{{pointers}}};\nconst uint32_t tms_{kind}_bytes[] = {{{sizes}}};\n"


def _bytes(graph: Subgraph, index: int) -> int:
    tensor, elements = graph.tensors[index], 1
    for dimension in tensor.shape:
        elements *= dimension
    return byte_size(tensor.dtype, elements) or 0


def _layer(part: Part, number: int) -> str:
    where, lowered = part.places[number], part.lowered[number]
    about = "".join(f"\n   {line}" for line in _about(part, number))
    statics = "" if lowered.pixel else _statics(lowered)
    body = _body(part, number).strip() or "TMS_NOTHING();"
    return f"{_title(where)}{about} */\n{statics}{_function(f'TMS_LAYER void {layer_symbol(where)}(void)', body)}"


def _title(where: Place) -> str:
    graph = "" if where.graph.index == 0 else f" of subgraph {where.graph.index}"
    return f"/* Operator {where.op.index}{graph}: {safe(where.op.label)}"


def _function(signature: str, body: str) -> str:
    return f"{signature} {{\n{indent(body.strip(), '    ')}\n}}\n"


def _statics(lowered: Lowered) -> str:
    return f"{lowered.statics.strip()}\n\n" if lowered.statics.strip() else ""


def _about(part: Part, number: int) -> Iterator[str]:
    where, tensors = part.places[number], part.graph.tensors
    for index in where.op.inputs:
        if index >= 0:
            fixed = constant(where.model, tensors[index]) is not None
            yield f"{'with' if fixed else 'from'} {describe(tensors[index])}"
    for index in where.op.outputs:
        yield f"to {describe(tensors[index])}"
    if number in part.memory.shared:
        yield "The output is the input under another shape: nothing to do."


def _body(part: Part, number: int) -> str:
    where, lowered = part.places[number], part.lowered[number]
    if number in part.memory.shared:
        return ""
    if not lowered.pixel:
        return lowered.body
    rows, columns, channels = lowered.pixels
    y, x = "y" if rows > 1 else "0", "x" if columns > 1 else "0"
    body = f"{where.symbol('pix')}({y}, {x}, 0, {channels});"
    for name, count in (("x", columns), ("y", rows)):
        if count != 1:
            body = f"for (int32_t {name} = 0; {name} < {count}; ++{name}) {{\n{indent(body, '    ')}\n}}"
    return body


def _calls(part: Part) -> str:
    return "".join(f"{layer_symbol(where)}();\n" for where in part.places)


def _reset(whole: Whole) -> str:
    fills = "".join(f"tms_fill_bytes({v.pointer}, {v.fill}, {v.bytes});\n" for v in whole.variables)
    inits = "".join(_calls(part) for part in whole.parts[1:])
    body = fills + inits or "/* This model has no state. */"
    return f"{_function('void tms_reset(void)', body)}\n{_function('void tms_init(void)', 'tms_reset();')}"


def _infer(whole: Whole) -> str:
    body = f"""for (uint32_t k = 0; in && k < TMS_INPUTS; ++k) {{
    if (in[k]) tms_move_bytes(tms_input[k], in[k], tms_input_bytes[k]);
}}

{_calls(whole.parts[0])}
for (uint32_t k = 0; out && k < TMS_OUTPUTS; ++k) {{
    if (out[k]) tms_move_bytes(out[k], tms_output[k], tms_output_bytes[k]);
}}
return 0;"""
    return _function("int tms_infer(const void *const in[], void *const out[])", body)
