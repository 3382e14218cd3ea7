"""The bars of jobs in stages."""

from __future__ import annotations

import pytest

from whence.cli.stages import check_progress, stage_progress, training_progress
from whence_backends.validation.checks import CheckProgress, CheckStage
from whence_backends.validation.training import TrainingProgress


def test_each_stage_has_a_bar_that_keeps_its_share(capsys: pytest.CaptureFixture[str]):
    with stage_progress() as show:
        show("fit", 1.0)
        show("a [red] stage\n", 0.25, "of\tlast")
    printed = capsys.readouterr().err
    assert "fit" in printed
    assert "100%" in printed
    assert "25%" in printed
    assert "a [red] stage" in printed


def test_models_are_counted_and_the_last_is_named(capsys: pytest.CaptureFixture[str]):
    with training_progress() as show:
        show(TrainingProgress(done=0, total=4, name=""))
        show(TrainingProgress(done=3, total=4, name="s-1"))
    printed = capsys.readouterr().err
    assert "75%" in printed
    assert "3 of 4" in printed


@pytest.mark.parametrize("stage", CheckStage)
def test_every_check_has_a_name(stage: CheckStage, capsys: pytest.CaptureFixture[str]):
    with check_progress() as show:
        show(CheckProgress(stage=stage, done=0, total=0))
    assert "0%" in capsys.readouterr().err
