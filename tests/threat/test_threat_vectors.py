from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.vectors import join, parse, rank, score_v40, scores_v31

ROWS = list(csv.DictReader((Path(__file__).parent / "base_scores.csv").open()))
"""Scores of the notes that the vectors were taken from, computed independently of this package."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["threat"])
def test_base_vectors_give_the_scores_of_the_notes(row: dict[str, str]) -> None:
    vectors = load_catalog().threat(row["threat"]).vectors
    for device_class in ("TinyML", "EdgeML", "IoT"):
        v31, v40 = (row[f"{device_class.lower()}_{version}"] for version in ("v31", "v40"))
        if not v31:
            assert device_class not in vectors
            continue
        one = vectors[device_class]  # type: ignore[index]
        assert (scores_v31(one.v31)[0], score_v40(one.v40)) == (float(v31), float(v40))


def test_all_rows_are_there() -> None:
    assert [row["threat"] for row in ROWS] == list(load_catalog().threats)


def test_vectors_survive_parsing() -> None:
    for threat in load_catalog().threats.values():
        for one in threat.vectors.values():
            assert join(*parse(one.v31)) == one.v31
            assert join(*parse(one.v40)) == one.v40


@pytest.mark.parametrize("text", ["", "CVSS:2.0/AV:N", "CVSS:3.1/AV", "CVSS:3.1/AV:N/AV:P", "AV:N/AC:L"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"CVSS|twice"):
        parse(text)


def test_rank_knows_user_interaction_of_both_versions() -> None:
    assert rank("3.1", "MUI", "R") < rank("3.1", "UI", "N")
    assert rank("4.0", "UI", "A") < rank("4.0", "MUI", "P") < rank("4.0", "UI", "N")
    assert rank("4.0", "MSI", "H") < rank("4.0", "MSI", "S")
