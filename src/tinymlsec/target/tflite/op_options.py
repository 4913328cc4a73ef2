"""Which options table an operator takes, and its options from words: the schema's names instead of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.graph import OptionValue
from tinymlsec.target.tflite.schema import OPTION_UNIONS, Field, enum_names, enum_number, table

_SHARED: dict[str, str] = {
    "Conv3DOptions": "CONV_3D_TRANSPOSE",
    "L2NormOptions": "L2_NORMALIZATION",
    "MaximumMinimumOptions": "MAXIMUM MINIMUM",
    "Pool2DOptions": "AVERAGE_POOL_2D L2_POOL_2D MAX_POOL_2D",
    "RandomOptions": "MULTINOMIAL RANDOM_STANDARD_NORMAL RANDOM_UNIFORM",
    "ReducerOptions": "MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM",
    "SequenceRNNOptions": "UNIDIRECTIONAL_SEQUENCE_RNN",
}
"""Tables whose name is not that of their only operator."""


@cache
def options_table(operator: str) -> str:
    """Name of the options table of a builtin operator; NONE where it takes no options.

    >>> options_table("CONV_2D"), options_table("MEAN"), options_table("LOGISTIC")
    ('Conv2DOptions', 'ReducerOptions', 'NONE')
    """
    for name, operators in _SHARED.items():
        if operator in operators.split():
            return name
    wanted = operator.replace("_", "").lower() + "options"
    names = [name for union in OPTION_UNIONS for name in enum_names(union)[1:]]
    return next((name for name in names if name.lower() == wanted), "NONE")


def make_options(operator: str, given: Mapping[str, OptionValue]) -> tuple[str, dict[str, OptionValue]]:
    """(options table, all its fields) from the fields that are given; the others get the schema's defaults.

    Args:
        operator: builtin name.
        given: values by field; enumerations by name (``"SAME"``, ``"RELU6"``, ``"int8"``) or number.

    Raises:
        UsageError: a field that the table lacks, or a name that the enumeration lacks.
    """
    name = options_table(operator)
    if name == "NONE":
        if given:
            raise UsageError(f"{operator} takes no options", found=", ".join(given), expected="none")
        return name, {}
    fields = table(name).by_name
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise UsageError(f"{name} has no such options", found=", ".join(unknown), expected=", ".join(fields) or "none")
    return name, {**table(name).defaults, **{key: _number(fields[key], value) for key, value in given.items()}}


def _number(field: Field, value: OptionValue) -> OptionValue:
    if field.enum is None or not isinstance(value, str):
        return value
    try:
        return enum_number(field.enum, value.upper())
    except KeyError:
        expected = ", ".join(enum_names(field.enum))
        raise UsageError(f"{field.name} has no such value", found=value, expected=expected) from None
