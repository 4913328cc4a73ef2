"""Recurrent layers: SVDF, RNN and LSTM in one direction or two."""

from __future__ import annotations

from tinymlsec.target.tflite.shapes.core import Answer, OpView, Shape

# Inputs of the full LSTM kernel, by the schema's order: 0 input; 1-4 input weights and 5-8 recurrent weights of the
# input, forget, cell and output gates; 9-11 peephole weights; 12-15 biases; 16-17 projection; 18-19 states.
INPUT_TO_OUTPUT, RECURRENT_TO_OUTPUT = 4, 8
# The bidirectional kernel repeats 1-17 for the backward direction from 18 on.
BACKWARD = 17
BASIC_KERNEL = 1


def svdf(view: OpView) -> list[Answer]:
    """SVDF: input (batch, size), feature filters (filters, size), time filters (filters, memory), bias, state."""
    (batch, size), (filters, width), (rows, memory) = view.shape(0, 2), view.shape(1, 2), view.shape(2, 2)
    rank = view.at_least_one("rank")
    view.require(width == size and rows == filters, "filters", found=((filters, width), (rows, memory)), expected=size)
    view.require(filters % rank == 0, "number of filters", found=filters, expected=f"a multiple of rank {rank}")
    units = filters // rank
    if view.has(3):
        view.require(view.shape(3) == (units,), "length of the bias", found=view.shape(3), expected=(units,))
    state = view.shape(4)
    view.require(state == (batch, memory * filters), "state", found=state, expected=(batch, memory * filters))
    return [(batch, units)]


def _rnn_units(view: OpView, first: int, size: int) -> int:
    """Units of a cell whose input weights, recurrent weights and bias stand from position `first` on."""
    units, width = view.shape(first, rank=2)
    view.require(width == size, "input weights", found=(units, width), expected=(units, size))
    recurrent = view.shape(first + 1)
    view.require(recurrent == (units, units), "recurrent weights", found=recurrent, expected=(units, units))
    view.require(view.shape(first + 2) == (units,), "bias", found=view.shape(first + 2), expected=(units,))
    return units


def rnn(view: OpView) -> list[Answer]:
    """RNN: one step of a basic cell."""
    batch, size = view.shape(0, rank=2)
    return [(batch, _rnn_units(view, 1, size))]


def unidirectional_sequence_rnn(view: OpView) -> list[Answer]:
    """UNIDIRECTIONAL_SEQUENCE_RNN: all steps; time and batch stay where they are."""
    first, second, size = view.shape(0, rank=3)
    return [(first, second, _rnn_units(view, 1, size))]


def bidirectional_sequence_rnn(view: OpView) -> list[Answer]:
    """BIDIRECTIONAL_SEQUENCE_RNN: forward cell at inputs 1 to 4, backward cell at 5 to 8."""
    first, second, size = view.shape(0, rank=3)
    return _merge(view, (first, second), _rnn_units(view, 1, size), _rnn_units(view, 5, size))


def _lstm_units(view: OpView, size: int, shift: int = 0) -> int:
    """Width of a direction's output: that of its recurrent weights, projected or not."""
    cells, width = view.shape(INPUT_TO_OUTPUT + shift, rank=2)
    view.require(width == size, "input weights", found=(cells, width), expected=(cells, size))
    rows, units = view.shape(RECURRENT_TO_OUTPUT + shift, least=1), view.shape(RECURRENT_TO_OUTPUT + shift)[-1]
    view.require(rows[0] == cells, "recurrent weights", found=rows, expected=f"{cells} rows")
    return units


def lstm(view: OpView) -> list[Answer]:
    """LSTM: one step; the basic kernel has four outputs (activation, state and two scratch areas)."""
    batch, size = view.shape(0, rank=2)
    if view.option("kernel_type") != BASIC_KERNEL:
        return [(batch, _lstm_units(view, size))]
    (_, units), (rows, width) = view.shape(1, rank=2), view.shape(2, rank=2)
    expected = (4 * units, size + units)
    view.require((rows, width) == expected, "weights of the basic kernel", found=(rows, width), expected=expected)
    return [(batch, units), (batch, units), (batch, width), (batch, rows)]


def unidirectional_sequence_lstm(view: OpView) -> list[Answer]:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: all steps; time and batch stay where they are."""
    first, second, size = view.shape(0, rank=3)
    return [(first, second, _lstm_units(view, size))]


def bidirectional_sequence_lstm(view: OpView) -> list[Answer]:
    """BIDIRECTIONAL_SEQUENCE_LSTM: one output a direction, or both side by side."""
    first, second, size = view.shape(0, rank=3)
    return _merge(view, (first, second), _lstm_units(view, size), _lstm_units(view, size, BACKWARD))


def _merge(view: OpView, steps: Shape, forward: int, backward: int) -> list[Answer]:
    if view.option("merge_outputs"):
        return [(*steps, forward + backward)]
    return [(*steps, forward), (*steps, backward)]
