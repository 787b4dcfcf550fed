"""PostgreSQL whose pool can be waited for as long as the work at hand may wait, and no longer."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from psycopg import IsolationLevel


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with `checkout_timeout`: seconds to wait for a connection of the pool; None for the pool's own."""

    checkout_timeout: float | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection of the pool's.

        :raises psycopg_pool.PoolTimeout: none became free in time.
        """
        pool: Any = self.pool
        if pool is None:
            return super().get_new_connection(conn_params)
        self.isolation_level = IsolationLevel.READ_COMMITTED
        pool.open()
        return pool.getconn(timeout=self.checkout_timeout)
