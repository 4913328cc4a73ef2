"""FLOW: calls that go in circles, sides of a call that do not fit, subgraphs and state."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

from rules.corpus.base import Case, graph, op_offset, tensor_offset
from tinymlsec.target.tflite.builder import GraphBuilder, TensorSpec
from tinymlsec.target.tflite.reader import read_model

SHAPE = (1, 4)
Q = 0.5


def _port(builder: GraphBuilder, shape: tuple[int, ...] = SHAPE) -> int:
    return builder.input(shape, "int8", scale=Q)


def _spec(shape: tuple[int, ...] = SHAPE) -> TensorSpec:
    return TensorSpec(shape, "int8", Q)


def _work(main: GraphBuilder, shape: tuple[int, ...] = SHAPE) -> GraphBuilder:
    """A subgraph that takes and returns one tensor."""
    body = main.subgraph(f"graph_{main.index}")
    body.output(body.op("RELU", [_port(body, shape)]))
    return body


def _test(main: GraphBuilder, dtype: str = "bool") -> GraphBuilder:
    """A subgraph that says whether to go on."""
    condition = main.subgraph("condition")
    x = _port(condition)
    flag = condition.op("REDUCE_MAX", [x, condition.ints(0, 1)], options={"keep_dims": False})
    if dtype == "bool":
        limit = condition.op("REDUCE_MIN", [x, condition.ints(0, 1)], options={"keep_dims": False})
        flag = condition.op("LESS", [flag, limit], shape=(), dtype="bool", options={})
    condition.output(flag)
    return condition


def _while(body_shape: tuple[int, ...] = SHAPE, flag: str = "bool", *, nested: bool = False) -> bytes:
    main = graph()
    condition = _test(main, flag)
    body = main.subgraph("body")
    x = _port(body, body_shape)
    options = {"cond_subgraph_index": condition.index, "body_subgraph_index": body.index}
    if nested:
        body.output(*body.op_many("WHILE", [x], [_spec(body_shape)], options))
    else:
        body.output(body.op("RELU", [x]))
    main.output(*main.op_many("WHILE", [_port(main)], [_spec()], options))
    return main.tobytes()


def _same() -> bytes:
    """A loop over one boolean, which is the condition and the body at once."""
    main = graph()
    only = main.subgraph("only")
    only.output(only.op("LOGICAL_NOT", [only.input((), "bool")], options={}))
    options = {"cond_subgraph_index": only.index, "body_subgraph_index": only.index}
    main.output(*main.op_many("WHILE", [main.input((), "bool")], [TensorSpec((), "bool")], options))
    return main.tobytes()


def _if(then: tuple[int, ...] = SHAPE, other: tuple[int, ...] = SHAPE, flag: str = "bool") -> bytes:
    main = graph()
    branches = [_work(main, then), _work(main, other)]
    options = {"then_subgraph_index": branches[0].index, "else_subgraph_index": branches[1].index}
    condition = main.input((), flag)
    main.output(*main.op_many("IF", [condition, _port(main)], [_spec()], options))
    return main.tobytes()


def _else_without_outputs() -> bytes:
    main = graph()
    then = _work(main)
    other = main.subgraph("else")
    _port(other)
    options = {"then_subgraph_index": then.index, "else_subgraph_index": other.index}
    main.output(*main.op_many("IF", [main.input((), "bool"), _port(main)], [_spec()], options))
    return main.tobytes()


def _once(ports: bool) -> bytes:
    main = graph()
    once = main.subgraph("once")
    if ports:
        once.output(once.op("RELU", [_port(once)]))
    main.op_many("CALL_ONCE", [], [], {"init_subgraph_index": once.index})
    main.output(main.op("RELU", [_port(main)]))
    return main.tobytes()


def _call(shape: tuple[int, ...] = SHAPE) -> bytes:
    main = graph()
    body = _work(main, shape)
    main.output(*main.op_many("CALL", [_port(main)], [_spec()], {"subgraph": body.index}))
    return main.tobytes()


def _chain(length: int) -> bytes:
    """Subgraphs that call the next one."""
    main = graph()
    graphs = [main, *(main.subgraph(f"graph_{n}") for n in range(length))]
    for here, following in itertools.pairwise(graphs):
        here.op_many("CALL_ONCE", [], [], {"init_subgraph_index": following.index})
    main.output(main.op("RELU", [_port(main)]))
    return main.tobytes()


def _spare(spare: bool) -> bytes:
    main = graph()
    main.output(main.op("RELU", [_port(main)]))
    if spare:
        _work(main)
    return main.tobytes()


def _state(state: bool) -> bytes:
    main = graph()
    x = _port(main)
    other = main.variable(SHAPE, "int8", Q) if state else x
    main.output(main.op("ADD", [x, other], scale=Q, options={}))
    return main.tobytes()


def _at(rule: str, name: str, good: bytes, bad: bytes, *, op: int = 0, subgraph: int = 0, cve: str = "") -> Case:
    return Case(rule, name, good, bad, op_offset(bad, op, subgraph), cve)


@cache
def cases() -> list[Case]:
    """See the package."""
    recursion, spare, state = _while(nested=True), _spare(True), _state(True)
    unused = read_model(spare).subgraphs[1].offset
    shapes: list[tuple[str, str, Callable[..., bytes], tuple[object, ...]]] = [
        ("FLOW-03", "a body of another shape", _while, ((1, 8),)),
        ("FLOW-03", "a condition that is a number", _while, (SHAPE, "int8")),
        ("FLOW-04", "a then branch of another shape", _if, ((1, 8), SHAPE)),
        ("FLOW-04", "an else branch of another shape", _if, (SHAPE, (1, 8))),
        ("FLOW-04", "an else branch without outputs", _else_without_outputs, ()),
        ("FLOW-04", "a number as condition", _if, (SHAPE, SHAPE, "int8")),
        ("FLOW-05", "CALL of another shape", _call, ((1, 8),)),
    ]
    goods = {_while: _while(), _if: _if(), _else_without_outputs: _if(), _call: _call()}
    return [
        _at("FLOW-01", "a loop in its own body", _while(), recursion, subgraph=2, cve="CVE-2021-29591"),
        _at("FLOW-02", "one subgraph twice", _while(), _same(), cve="CVE-2021-29591"),
        *(_at(rule, name, goods[make], make(*given)) for rule, name, make, given in shapes),
        _at("FLOW-05", "CALL_ONCE with ports", _once(False), _once(True)),
        Case("FLOW-06", "a spare subgraph", _spare(False), spare, unused),
        Case("FLOW-07", "a variable", _state(False), state, tensor_offset(state, 1)),
        _at("FLOW-08", "nine calls", _chain(8), _chain(9)),
    ]
