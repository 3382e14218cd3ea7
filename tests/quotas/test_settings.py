"""The front end's settings of quotas."""

from __future__ import annotations

from pathlib import Path

import pytest

from whence.errors import InvalidRequestError
from whence_service.frontend.config import FrontEndSettings
from whence_service.quotas.assembly import build_quotas


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"quotas_redis_url": "redis://h/0"}, "no effect without quotas_file"),
        ({"quotas_file": "q", "quotas_redis_url": "http://h"}, "expected redis://"),
        ({"quotas_file": "q", "quotas_redis_password_file": "p"}, "no effect without quotas_redis_url"),
        ({"quotas_file": "q", "quotas_local_share": 0}, "greater than 0"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(given: dict[str, object], said: str):
    with pytest.raises(InvalidRequestError, match=said):
        FrontEndSettings.load(**given)


async def test_a_front_end_with_a_broken_file_of_quotas_does_not_start(tmp_path: Path):
    settings = FrontEndSettings.load(quotas_file=tmp_path / "quotas.toml")
    with pytest.raises(InvalidRequestError, match="the quotas file"):
        build_quotas(settings.quotas)


async def test_a_password_file_that_is_not_there_is_named(tmp_path: Path):
    (tmp_path / "quotas.toml").touch()
    settings = FrontEndSettings.load(
        quotas_file=tmp_path / "quotas.toml",
        quotas_redis_url="redis://h/0",
        quotas_redis_password_file=tmp_path / "none",
    )
    with pytest.raises(InvalidRequestError, match="quotas_redis_password_file"):
        build_quotas(settings.quotas)
