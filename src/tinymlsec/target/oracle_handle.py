"""A model that the runtime accepted, and the ways to run batches on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tinymlsec.errors import UsageError
from tinymlsec.target.oracle_limits import Budget
from tinymlsec.target.oracle_protocol import ProtocolError
from tinymlsec.target.oracle_run import Progress, run_rows
from tinymlsec.target.oracle_tensors import TensorDetail, as_rows

if TYPE_CHECKING:
    from tinymlsec.target.oracle import OraclePool


class ModelHandle:
    """A model that the runtime accepted. `OraclePool.open` makes it.

    Attributes:
        digest: SHA-256 of the file.
        inputs, outputs: what the runtime says of them.
        stateful: variables are set back before every sample or sequence.
        fresh: by a new interpreter.
    """

    def __init__(self, pool: OraclePool, model: bytes, arena_size: int, stateful: bool, fresh: bool = False) -> None:
        self.pool, self.model, self.arena_size, self.stateful = pool, model, arena_size, stateful
        self.fresh = fresh
        self.digest = hashlib.sha256(model).hexdigest()
        self.key = f"{self.digest}:{arena_size}:{int(fresh)}"
        self.inputs: tuple[TensorDetail, ...] = ()
        self.outputs: tuple[TensorDetail, ...] = ()
        self.seconds_per_inference: float | None = None
        """Measured on the latest batch; None before the first."""

    def set_details(self, inputs: tuple[TensorDetail, ...], outputs: tuple[TensorDetail, ...]) -> None:
        """Keeps the details of the first load; later loads must agree."""
        # Compared as text: a damaged file may have a scale that is not a number, which equals nothing, itself included.
        if (self.inputs or self.outputs) and repr((inputs, outputs)) != repr((self.inputs, self.outputs)):
            raise ProtocolError("another worker reported other inputs and outputs for the same model")
        self.inputs, self.outputs = inputs, outputs

    def run(self, x: NDArray[Any], progress: Progress | None = None, *, budget: Budget | None = None) -> NDArray[Any]:
        """Runs every sample; for models with one input. Of several outputs, the first one is returned.

        Args:
            x: (n, *shape) or, where the input's first dimension is 1, (n, *shape[1:]); of the input's type.
            progress: called with the number of inferences done since the last call.
            budget: a budget beside that of the pool.

        Returns:
            (n, *shape of the output without its leading 1).

        Raises:
            BudgetExceeded: before anything ran.
            InputError: inputs that do not fit.
            OracleCrash, OracleTimeout, OracleError: see `OraclePool.open`; the message names the sample.
        """
        if len(self.inputs) != 1:
            raise UsageError("run takes models with one input", found=f"{len(self.inputs)} inputs", next_step="run_all")
        return self.run_all([x], progress, budget=budget)[0]

    def run_all(
        self, inputs: Sequence[NDArray[Any]], progress: Progress | None = None, *, budget: Budget | None = None
    ) -> list[NDArray[Any]]:
        """Like `run` for any number of inputs and outputs.

        Args:
            inputs: one array per input, each with the same n.
            progress: see `run`.
            budget: see `run`.

        Returns:
            One array per output.
        """
        feeds = self._feeds(inputs, lead=1)
        rows = run_rows(self, feeds, 1, int(self.stateful), progress, budget)
        return [r.reshape(len(r), *d.sample_shape) for r, d in zip(rows, self.outputs, strict=True)]

    def run_sequences(
        self, x: NDArray[Any], progress: Progress | None = None, *, budget: Budget | None = None
    ) -> NDArray[Any]:
        """Runs sequences step by step; the model's state is set back before each sequence.

        Args:
            x: (n, t, *shape) or (n, t, *shape[1:]).
            progress: see `run`.
            budget: see `run`.

        Returns:
            (n, t, *shape of the first output without its leading 1).
        """
        (feed,) = self._feeds([x], lead=2)
        count, steps = feed.shape[:2]
        flat = feed.reshape(count * steps, *self.inputs[0].shape)
        rows = run_rows(self, [flat], steps, steps, progress, budget)[0]
        return rows.reshape(count, steps, *self.outputs[0].sample_shape)

    def _feeds(self, inputs: Sequence[NDArray[Any]], lead: int) -> list[NDArray[Any]]:
        if len(inputs) != len(self.inputs) or not self.outputs:
            found = f"{len(inputs)} arrays for {len(self.inputs)} inputs and {len(self.outputs)} outputs"
            raise UsageError("one array per input of the model is needed, and a model with outputs", found=found)
        feeds = [as_rows(x, detail, lead) for x, detail in zip(inputs, self.inputs, strict=True)]
        if len({len(feed) for feed in feeds}) > 1:
            raise UsageError("the inputs have different numbers of samples", found=str([len(f) for f in feeds]))
        return feeds
