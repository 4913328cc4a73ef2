"""What the pages on traces and their statistics say is true: examples run, names exist, numbers are the code's."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from tinymlsec.analysis.correlation import Correlation
from tinymlsec.analysis.ttest import threshold
from tinymlsec.traces.files import TraceFileError
from tinymlsec.traces.imports import load_traces
from tinymlsec.traces.traceset import TraceSet
from traces.sound_traces import array_traces, inputs, npy, samples, trs

DOCS = Path(__file__).resolve().parents[2] / "docs" / "side-channels"
TRACES, STATISTICS = ((DOCS / name).read_text(encoding="utf-8") for name in ("traces.md", "statistics.md"))


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zarr", reason="needs tinymlsec[sidechannel]")
    monkeypatch.chdir(tmp_path)
    Path("scope.trs").write_bytes(trs(samples(), inputs()))
    Path("scope.npy").write_bytes(npy(samples()))
    Path("inputs.npy").write_bytes(npy(inputs()))
    names = {"traces": array_traces(), "digest": "ab" * 32, "Path": Path}
    assert len(blocks(TRACES)) == 3
    for block in blocks(TRACES):
        exec(compile(block, "docs/side-channels/traces.md", "exec"), names)  # our own page
    assert len(load_traces(Path("campaign"))) == 24


def test_the_pattern_of_the_statistics_runs() -> None:
    traces: TraceSet = array_traces()
    block = blocks(STATISTICS)[0].replace("update(...)", "update(np.bitwise_count(chunk.inputs), chunk.samples)")
    names: dict[str, object] = {"Correlation": Correlation, "traces": traces, "np": np}
    exec(compile(block, "docs/side-channels/statistics.md", "exec"), names)
    assert isinstance(names["statistic"], Correlation)


@pytest.mark.parametrize("page", [TRACES, STATISTICS], ids=["traces", "statistics"])
def test_names_exist(page: str) -> None:
    named = set(re.findall(r"`(?:tinymlsec\.)?(?:traces\.)?(\w+)\.([A-Z]\w+)`", page))
    for module, name in named:
        assert hasattr(importlib.import_module(f"tinymlsec.traces.{module}"), name), (module, name)
    for file in re.findall(r"\(`(\w+\.py)`\)", page):
        assert (DOCS.parents[1] / "src" / "tinymlsec" / "analysis" / file).exists(), file
    for file in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.\w+)`", page):
        assert (DOCS.parents[1] / file).exists(), file


def test_thresholds_are_those_of_the_code() -> None:
    assert "for 10,000 samples it is 5.3 with many traces and 5.8\n  with 100 in a group" in STATISTICS
    assert round(threshold(10_000, 100_000), 1) == 5.3
    assert round(threshold(10_000, 100), 1) == 5.8


def test_errors_read_as_the_page_says(tmp_path: Path) -> None:
    data = samples()
    data[1, 10] = np.nan
    path = tmp_path / "scope.npy"
    path.write_bytes(npy(data))
    with pytest.raises(TraceFileError) as caught:
        list(load_traces(path).chunks())
    said = re.search(r"`(a sample of scope\.npy.*?) … (found: nan.*?)`", TRACES)
    assert said is not None
    lines = str(caught.value).splitlines()
    assert re.sub("0x[0-9a-f]+", "", lines[0]) == re.sub("0x[0-9a-f]+", "", said[1])
    assert lines[1].strip() == said[2]
