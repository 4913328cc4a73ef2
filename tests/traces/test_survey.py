"""What a set is worth before it is attacked; sets joined; traces of another model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinymlsec.records import Basis
from tinymlsec.traces.imports import load_traces
from tinymlsec.traces.joined import JoinedTraces
from tinymlsec.traces.survey import require_model, survey
from tinymlsec.traces.traceset import ArrayTraces, TraceError, TraceInfo
from traces.sound_traces import N, T, array_traces, inputs, npy, npz, samples

INFO = TraceInfo(source="scope.npy", basis=Basis.MEASURED)


def test_a_survey_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.rint(samples()).clip(-20, 35)
    data[:, 5] = 3
    for size in (1, 5, 10_000):
        monkeypatch.setattr(ArrayTraces.chunks, "__defaults__", (size,))
        seen = survey(ArrayTraces(INFO, data, inputs()))
        assert (seen.traces, seen.samples, seen.input_bytes, seen.constant_samples) == (N, T, 6, 1)
        assert (seen.low, seen.high) == (-20, 35)
        assert seen.at_low == pytest.approx((data == -20).mean())
        assert seen.at_high == pytest.approx((data == 35).mean())
        assert seen.clipped
        assert seen.distinct_inputs
    assert not survey(array_traces(n=200, t=50)).clipped


def test_sets_of_no_use_are_refused() -> None:
    flat = np.broadcast_to(samples()[0], (N, T)).copy()
    with pytest.raises(TraceError, match=r"no sample of scope\.npy varies(?s:.)*30 constant samples in 24(?s:.)*probe"):
        survey(ArrayTraces(INFO, flat, inputs()))
    with pytest.raises(TraceError, match="has no inputs"):
        survey(ArrayTraces(INFO, samples()))
    assert survey(ArrayTraces(INFO, samples()), needs_inputs=False).input_bytes == 0
    with pytest.raises(TraceError, match="the same input"):
        survey(ArrayTraces(INFO, samples(), np.tile(inputs()[:1], (N, 1))))


def test_traces_of_another_model(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(npz(samples=samples(), model_digest="ab" * 32))
    assert len(load_traces(path, model_digest="AB" * 32)) == N
    with pytest.raises(TraceError, match=r"another model(?s:.)*found: model digest abab(?s:.)*expected: cdcd"):
        load_traces(path, model_digest="cd" * 32)
    unknown = tmp_path / "b.npy"
    unknown.write_bytes(npy(samples()))
    assert len(load_traces(unknown, model_digest="cd" * 32)) == N, "a set that does not say may be of any model"
    with pytest.raises(TraceError, match="another model"):
        require_model(array_traces(model_digest="00" * 32), "11" * 32)


def test_inputs_from_a_file_of_their_own(tmp_path: Path) -> None:
    given = tmp_path / "in.npy"
    given.write_bytes(npy(inputs()))
    path = tmp_path / "a.npz"
    path.write_bytes(npz(samples=samples()))
    assert (next(load_traces(path, inputs=given).chunks()).inputs == inputs()).all()
    given.write_bytes(npy(inputs(5)))
    with pytest.raises(TraceError, match="fewer inputs than traces"):
        load_traces(path, inputs=given)


def test_joined_sets() -> None:
    one, two = array_traces(), array_traces()
    joined = JoinedTraces([one, two])
    assert (len(joined), joined.samples, joined.info) == (2 * N, T, one.info)
    assert (joined.pc == one.pc).all()
    chunks = list(joined.chunks(N - 1, start=3, end=N + 4))
    assert [(chunk.first, len(chunk.samples)) for chunk in chunks] == [(3, 21), (N, 4)]
    assert (chunks[1].samples == two.data[:4]).all()
    with pytest.raises(TraceError, match="no traces to join"):
        JoinedTraces([])
    with pytest.raises(TraceError, match="part 1 has traces of another length"):
        JoinedTraces([one, array_traces(t=T + 1)])
    with pytest.raises(TraceError, match=r"part 1 has other inputs(?s:.)*found: 2 bytes"):
        list(JoinedTraces([one, array_traces(k=2)]).chunks())
