"""Findings in a subgraph that is not the first: where they stand, and that families do not repeat each other there."""

from __future__ import annotations

from rules.corpus.base import graph, op_offset
from tinymlsec.records import Finding
from tinymlsec.rules.runtime import load_runtime
from tinymlsec.scan.models import run_model_rules


def branching(stride: int, first_rows: int = 8) -> bytes:
    """IF whose then branch pools by a stride, and whose first subgraph has a sound pooling at the same place."""
    builder = graph()
    then, other = builder.subgraph("then"), builder.subgraph("else")
    pool = {"stride_h": 1, "filter_height": 1, "filter_width": 1, "padding": "VALID"}
    flag = builder.input((), "bool")
    x = builder.input((1, 8, 8, 2), "float32")
    y = builder.op("MAX_POOL_2D", [x], shape=(1, first_rows, 8, 2), options={**pool, "stride_w": 1})
    branches = {"then_subgraph_index": then.index, "else_subgraph_index": other.index}
    builder.output(builder.op("IF", [flag, y], shape=(1, 8, 8, 2), dtype="float32", options=branches))
    then_x = then.input((1, 8, 8, 2), "float32")
    then.output(then.op("MAX_POOL_2D", [then_x], shape=(1, 8, 8, 2), options={**pool, "stride_w": stride}))
    other.output(other.op("ABS", [other.input((1, 8, 8, 2), "float32")], shape=(1, 8, 8, 2)))
    return builder.tobytes()


def kernels(data: bytes) -> list[Finding]:
    found = run_model_rules(data, runtime=load_runtime())
    return [f for f in found if f.id.partition("-")[0] in ("OPT", "QUANT", "SHAPE", "RUN")]


def test_a_sound_model_of_three_subgraphs_has_no_finding() -> None:
    assert kernels(branching(1)) == []


def test_a_fault_in_a_branch_names_its_subgraph() -> None:
    data = branching(0)
    (found,) = kernels(data)
    assert (found.id, found.location.subgraph, found.location.op) == ("OPT-01", 1, 0)
    assert found.location.file_offset == op_offset(data, 0, subgraph=1)


def test_the_same_operator_number_elsewhere_is_not_silenced() -> None:
    # Operator 0 of the second subgraph has a stride of 0, operator 0 of the first one declares another shape.
    found = kernels(branching(0, first_rows=7))
    assert {("OPT-01", 1), ("SHAPE-01", 0)} <= {(f.id, f.location.subgraph) for f in found}
