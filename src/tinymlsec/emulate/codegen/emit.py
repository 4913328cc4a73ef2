"""C text of a lowered model: headers and tables; `emit_layers` writes what runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tinymlsec.emulate.codegen.emit_layers import layers_file, pixels_file
from tinymlsec.emulate.codegen.kernel_files import kernel_files
from tinymlsec.emulate.codegen.lowering import Table, tensor_name
from tinymlsec.emulate.codegen.parts import HEAD, Part, Whole, describe, layer_symbol, pixel_signature
from tinymlsec.emulate.codegen.text import C_TYPES, c_float, c_values, safe
from tinymlsec.target.tflite.graph import Tensor
from tinymlsec.target.tflite.schema import byte_size


def files(whole: Whole) -> dict[str, str]:
    """All files by relative path."""
    stems = sorted({stem for part in whole.parts for lowered in part.lowered for stem in lowered.kernels})
    own = {
        "tms_model.h": _model_header(whole),
        "tms_layers.h": _layers_header(whole),
        "tms_memory.h": _memory_header(whole),
        "tms_tables.h": _tables_header(whole.tables),
        "tms_tables.c": _tables_file(whole.tables),
        "tms_pixels.c": pixels_file(whole),
        "tms_model.c": layers_file(whole),
    }
    return {**own, **kernel_files(stems, whole.style)}


def _guarded(name: str, body: str) -> str:
    return f"{HEAD}#ifndef {name}\n#define {name}\n\n#include <stdint.h>\n\n{body.strip()}\n\n#endif\n"


def _model_header(whole: Whole) -> str:
    main = whole.parts[0].graph
    ports = "".join(_port_macros("INPUT", k, main.tensors[i]) for k, i in enumerate(main.inputs))
    ports += "".join(_port_macros("OUTPUT", k, main.tensors[i]) for k, i in enumerate(main.outputs))
    return _guarded(
        "TMS_MODEL_H",
        f"""#ifdef __cplusplus
extern "C" {{
#endif

#define TMS_INPUTS {len(main.inputs)}
#define TMS_OUTPUTS {len(main.outputs)}
#define TMS_ARENA_BYTES {max(whole.arena, 16)}

{ports}
/* Call once before anything else. */
void tms_init(void);

/* One inference. in[k] is copied to input k and output k to out[k]. Where an array or an entry of it is NULL, nothing
   is copied: write to tms_input[k] before each call (the memory is used for other things while layers run) and read
   tms_output[k]. Returns 0. */
int tms_infer(const void *const in[], void *const out[]);

/* Sets the state of streaming models back to what it is after tms_init. */
void tms_reset(void);

extern void *const tms_input[];
extern void *const tms_output[];
extern const uint32_t tms_input_bytes[];
extern const uint32_t tms_output_bytes[];
extern uint8_t tms_arena[];

#ifdef __cplusplus
}}
#endif""",
    )


def _port_macros(kind: str, number: int, tensor: Tensor) -> str:
    """Size and scale of an input or output, for the application: real = scale * (code - zero point)."""
    size = byte_size(tensor.dtype, _elements(tensor)) or 0
    lines = [f"/* {describe(tensor)} */", f"#define TMS_{kind}_{number}_BYTES {size}"]
    q = tensor.quantization
    if q is not None and q.scale.size == 1:
        zero_point = int(q.zero_point[0]) if q.zero_point.size else 0
        lines.append(f"#define TMS_{kind}_{number}_SCALE {c_float(float(q.scale[0]))}")
        lines.append(f"#define TMS_{kind}_{number}_ZERO_POINT {zero_point}")
    return "\n".join(lines) + "\n"


def _elements(tensor: Tensor) -> int:
    count = 1
    for dimension in tensor.shape:
        count *= dimension
    return count


def _layers_header(whole: Whole) -> str:
    main, *others = ("".join(f"void {layer_symbol(where)}(void);\n" for where in part.places) for part in whole.parts)
    pixels = "".join(
        f"{pixel_signature(where)};\n"
        for part in whole.parts
        for where, lowered in zip(part.places, part.lowered, strict=True)
        if lowered.pixel
    )
    text = f"/* Each layer, in the order in which tms_infer calls them. */\n{main}\n"
    if others:
        text += f"/* Layers that give variables their first values, called by tms_reset. */\n{''.join(others)}\n"
    if pixels:
        text += f"/* One output pixel, channels c0 to c1 - 1; pixels do not depend on each other. */\n{pixels}"
    return _guarded("TMS_LAYERS_H", text)


def _memory_header(whole: Whole) -> str:
    """Names of what lies in the arena, and of variables."""
    lines = ["extern uint8_t tms_arena[];"]
    lines += [f"extern uint8_t {v.pointer}[]; /* variable {safe(v.name)} */" for v in whole.variables]
    for part in whole.parts:
        if part.memory.offsets:
            where = "" if part.graph.index == 0 else f" of subgraph {part.graph.index}"
            lines.append(f"\n/* Tensors{where}. Those at the same place are not needed at the same time. */")
        lines += _tensor_macros(part)
        for number, offset in sorted(part.memory.scratch.items()):
            lines.append(f"#define {part.places[number].scratch} (tms_arena + {offset})")
    return _guarded("TMS_MEMORY_H", "\n".join(lines))


def _tensor_macros(part: Part) -> Iterator[str]:
    for index, offset in sorted(part.memory.offsets.items()):
        tensor = part.graph.tensors[index]
        ctype = C_TYPES.get(tensor.dtype, "uint8_t")
        yield f"#define {tensor_name(part.graph, index)} (({ctype} *)(tms_arena + {offset})) /* {describe(tensor)} */"


def _tables_header(tables: Iterable[Table]) -> str:
    return _guarded(
        "TMS_TABLES_H",
        "\n".join(f"extern const {t.ctype} {t.name}[{max(t.values.size, 1)}];" for t in tables),
    )


def _tables_file(tables: Iterable[Table]) -> str:
    """Apart from the code that reads them, so that no compiler folds weights into instructions."""
    parts = [f'{HEAD}#include "tms_tables.h"\n']
    for table in tables:
        values = c_values(table.values) if table.values.size else "    0"
        comment = f"/* {table.comment} */\n" if table.comment else ""
        size = max(table.values.size, 1)
        parts.append(f"{comment}const {table.ctype} {table.name}[{size}] = {{\n{values}\n}};\n")
    return "\n".join(parts)
