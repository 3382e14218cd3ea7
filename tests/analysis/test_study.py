"""``whence study``: from a file to a figure, a table and a document."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from analysis.samples import student, write_pairs
from whence.analysis import concentration, distribution, figures

QUERIES = {"capital": student(0, 3, 400).tolist(), "an author $x$": student(1, 3, 400).tolist()}


def study(*arguments):
    command = [sys.executable, "-m", "whence", "study", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def influences(tmp_path):
    return write_pairs(tmp_path / "influences.jsonl", QUERIES)


def test_the_tails_of_a_file_are_a_figure_a_table_and_a_document(tmp_path, influences):
    out = tmp_path / "tails"
    done = study("distribution", "--influences", influences, "--out", out, "--simulations", 20, "--seed", 5)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} == {
        f"distribution.{kind}" for kind in ("svg", "png", "parquet", "csv", "json")
    }
    expected = distribution(QUERIES["capital"], query_id="capital", simulations=20, seed=5)
    document = json.loads((out / "distribution.json").read_text())
    assert document["queries"][0] == json.loads(expected.to_json())
    assert "density exponent" in document["convention"]
    for table in (pd.read_parquet(out / "distribution.parquet"), pd.read_csv(out / "distribution.csv")):
        assert list(table["query_id"]) == list(QUERIES)
        assert table["exponent"][0] == pytest.approx(expected.exponent)
    assert f"{expected.exponent:.2f} ± {expected.standard_error:.2f}" in done.stdout


def test_the_shares_of_a_file_are_a_figure_a_table_and_a_document(tmp_path, influences):
    out = tmp_path / "shares"
    done = study("concentration", "--influences", influences, "--out", out, "--sign", "negative")
    assert done.returncode == 0, done.stderr
    expected = concentration(QUERIES["capital"], query_id="capital", sign=-1)
    assert json.loads((out / "concentration.json").read_text())["queries"][0] == json.loads(expected.to_json())
    assert pd.read_csv(out / "concentration.csv")["top_influence"][0] == pytest.approx(expected.top.influence)
    assert f"{expected.top.influence:.1%}" in done.stdout


def test_json_is_the_results(tmp_path, influences):
    done = study("concentration", "--influences", influences, "--out", tmp_path / "out", "--json")
    assert [query["query_id"] for query in json.loads(done.stdout)["queries"]] == list(QUERIES)


def test_a_file_that_is_refused_leaves_nothing_behind(tmp_path):
    few = write_pairs(tmp_path / "few.jsonl", {"q": [1.0] * 20})
    done = study("distribution", "--influences", few, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "TOO_FEW_INFLUENCES" in done.stderr
    assert "whence scores" in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("draw", "study", "words"),
    [
        (figures.distributions, distribution(QUERIES["capital"], query_id="a $b$", simulations=2), "density exponent"),
        (figures.concentrations, concentration(QUERIES["capital"], query_id="a $b$"), "share of the total"),
    ],
)
def test_a_figure_states_its_convention_and_is_the_same_each_time(tmp_path, draw, study, words):
    paths = [figures.save(draw([study] * 3), tmp_path, "figure") for _ in range(2)]
    svg = paths[0][0].read_bytes()
    assert svg == figures.save(draw([study] * 3), tmp_path, "figure")[0].read_bytes()
    assert words in re.sub(r"\s+", " ", svg.decode())
    assert len(study.plot().axes) == 1


def test_extras_that_are_missing_are_named():
    program = "import sys; sys.modules['scipy'] = None\nimport whence.analysis"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'whence[study]'" in done.stderr
