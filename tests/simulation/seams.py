"""Replaces the clock, random numbers, clients and limits of the package while a history runs."""

from __future__ import annotations

import pkgutil
import time
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.simulation.deployment import SETTINGS
from tests.simulation.histories import History
from tillbook.aws import clients, telemetry
from tillbook.ledger import activities, upkeep
from tillbook.records import jobs, messages
from tillbook.rules import times
from tillbook.views import match
from tillbook.web import managing, orders
from tillbook.work import book, processing
from tillbook.work import jobs as work_jobs

if TYPE_CHECKING:
    from tests.simulation.functions import Functions
    from tests.simulation.network import Network
    from tests.simulation.world import World

_MODULES = [
    import_module(info.name)
    for info in pkgutil.walk_packages(import_module("tillbook").__path__, "tillbook.")
    if not info.ispkg
]


class OneByOne:
    """Replaces ThreadPoolExecutor, whose threads the scheduler could not control: runs the calls one after another."""

    def __init__(self, _: int) -> None:
        self.map = map

    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *_: object) -> None: ...


class Seams:
    """Replaces the package's clock, random numbers and clients by those of a history, and silences logs and metrics.

    Restores all of them, and the limits, at exit.
    """

    def __init__(self) -> None:
        self.world: World | None = None
        self.network: Network | None = None
        self.functions: Functions | None = None
        self._originals: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Seams:
        clock = SimpleNamespace(
            time=lambda: self._world().wall, time_ns=lambda: int(self._world().wall * 1e9),
            monotonic=lambda: self._world().scheduler.now, sleep=lambda seconds: self._world().sleep(seconds),
            gmtime=lambda seconds: time.gmtime(seconds), strftime=time.strftime,
        )  # fmt: skip
        for module in _MODULES:
            if getattr(module, "time", None) is time:
                self._set(module, time=clock)
        self._set(times, os=SimpleNamespace(urandom=lambda count: self._world().bytes(count)))
        self._set(telemetry, metrics=SimpleNamespace(add_metric=lambda **_: None))
        telemetry.logger.setLevel("CRITICAL")
        self._set(
            clients, dynamodb=lambda: self._network().clients["dynamodb"], sqs=lambda: self._network().clients["sqs"]
        )
        # Private functions lose their caches, because each history has its own clients.
        for module in _MODULES:
            cached = {name: value for name, value in vars(module).items() if hasattr(value, "cache_info")}
            own = {name: value for name, value in cached.items() if value.__module__ == module.__name__}
            self._set(module, **{name: value.__wrapped__ for name, value in own.items() if name[0] == "_"})
            self._set(module, **{name: lambda: SETTINGS for name in cached if name == "settings"})
        self._set(match, ThreadPoolExecutor=OneByOne)
        self._set(book, ThreadPoolExecutor=OneByOne)
        self._set(orders, _ledger=lambda: self._functions().ledger)
        self._set(managing, processor=lambda: self._functions().processor)
        self._set(work_jobs, _PAGE_SECONDS=work_jobs._PAGE_SECONDS)
        self._set(jobs, _ORDERS_A_CHAIN=jobs._ORDERS_A_CHAIN)
        self._set(activities, MAX_TOGETHER=activities.MAX_TOGETHER)
        self._set(processing, MAX_TOGETHER=activities.MAX_TOGETHER)
        self._set(upkeep, MOST_EVENTS=upkeep.MOST_EVENTS)
        self._set(messages, MAX_ORDERS=messages.MAX_ORDERS, _COMPRESS_FROM=messages._COMPRESS_FROM)
        return self

    def __exit__(self, *_: object) -> None:
        for module, name, value in reversed(self._originals):
            setattr(module, name, value)
        self._originals.clear()
        telemetry.logger.setLevel("INFO")

    def _set(self, module: Any, **values: Any) -> None:
        for name, value in values.items():
            self._originals.append((module, name, getattr(module, name)))
            setattr(module, name, value)

    def limit(self, plan: History) -> None:
        """Sets the limits of the package to those of a history."""
        messages.MAX_ORDERS = plan.max_orders
        messages._COMPRESS_FROM = plan.compress_from
        work_jobs._PAGE_SECONDS = plan.page_seconds  # type: ignore[assignment]
        jobs._ORDERS_A_CHAIN = plan.orders_a_chain
        activities.MAX_TOGETHER = processing.MAX_TOGETHER = plan.together  # type: ignore[attr-defined]
        upkeep.MOST_EVENTS = plan.emptied_together

    def _world(self) -> World:
        assert self.world is not None
        return self.world

    def _network(self) -> Network:
        assert self.network is not None
        return self.network

    def _functions(self) -> Functions:
        assert self.functions is not None
        return self.functions
