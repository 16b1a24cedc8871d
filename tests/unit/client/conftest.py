"""A scripted router and a client connected to it, in memory and on a clock that jumps over waits."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

from tests.unit.client.fake_router import FakeRouter
from trio_router.client.backoff import Backoff
from trio_router.client.client import Client
from trio_router.client.connect import connect

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
async def router(nursery: trio.Nursery) -> AsyncIterator[FakeRouter]:
    yield FakeRouter(nursery)


@pytest.fixture
def connected(router: FakeRouter) -> Connect:
    def make(login: Any = None, **options: Any) -> AbstractAsyncContextManager[Client]:
        options.setdefault("backoff", Backoff(chance=random.Random(1)))
        return connect("ws://router.test/chat?room=1", login, open_stream=router.open_stream, **options)

    return make
