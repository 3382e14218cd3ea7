"""What :meth:`whence.AsyncClient.models` returns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator
from typing import Any

from whence.models import Model


class ServedModels(AsyncIterator[Model], Awaitable[list[Model]]):
    """The served models. Iterate with ``async for``, or await a list of all of them; either once."""

    def __init__(self, models: AsyncGenerator[Model, None]) -> None:
        self._models = models

    async def __anext__(self) -> Model:
        return await anext(self._models)

    def __await__(self) -> Generator[Any, None, list[Model]]:
        return self._all().__await__()

    async def aclose(self) -> None:
        """Request no more pages."""
        await self._models.aclose()

    async def _all(self) -> list[Model]:
        return [model async for model in self._models]
