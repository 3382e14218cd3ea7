"""Engines come by name, and a process loads what its own work needs and no more."""

from __future__ import annotations

from e2e.conftest import Service


def test_an_engine_of_somebody_elses_is_found_by_its_entry_point(slow: Service):
    assert slow.client.model().engine == "toy/float64"
    assert slow.worker.metrics().labels("whence_engine_info", "engine") == {"toy"}


def test_a_worker_that_needs_no_torch_runs_where_there_is_none(whole: Service):
    assert "torch" not in whole.worker.libraries()
    assert "numpy" in whole.worker.libraries()


def test_a_front_end_that_has_answered_has_loaded_neither_torch_nor_numpy(whole: Service):
    whole.client.model()
    for library in ("torch", "numpy", "pyarrow", "tokenizers"):
        assert library not in whole.front.libraries()
