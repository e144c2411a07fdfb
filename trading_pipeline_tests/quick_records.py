"""Dagster's records in memory, made once a process: a third of what a day in files takes."""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from dagster import DagsterInstance
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.runs import InMemoryRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy import Connection


class _Lasting:
    """A part that stays for the next instance of its process."""

    def register_instance(self, instance: DagsterInstance) -> None:
        self._instance_weakref = weakref.ref(instance)

    def dispose(self) -> None:
        """Nothing: the next instance wants it."""


class _Runs(_Lasting, InMemoryRunStorage):
    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._held_conn.begin():
            yield self._held_conn


class _Events(_Lasting, InMemoryEventLogStorage):
    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._db_lock, self._held_conn.begin():
            yield self._held_conn


class _Schedules(_Lasting, SqliteScheduleStorage):
    pass


class QuickRecords(_Lasting, DagsterStorage, ConfigurableClass):
    """Runs and events in memory, schedules in a folder; the instances of a process share them."""

    def __init__(self, folder: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._parts = _Runs(), _Events(), _Schedules.from_local(folder)
        super().__init__()

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"folder": str}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "QuickRecords":
        return _made_once(config_value["folder"])

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @property
    def run_storage(self) -> _Runs:
        return self._parts[0]

    @property
    def event_log_storage(self) -> _Events:
        return self._parts[1]

    @property
    def schedule_storage(self) -> SqliteScheduleStorage:
        return self._parts[2]

    @property
    def run_storage_data(self) -> None:
        return None

    @property
    def event_storage_data(self) -> None:
        return None

    @property
    def schedule_storage_data(self) -> None:
        return None


@lru_cache(maxsize=4)
def _made_once(folder: str) -> QuickRecords:
    return QuickRecords(folder)
