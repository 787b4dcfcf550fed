"""gunicorn's configuration: the production server as it is shipped.

WSGI spells the header names `a-b` and `a_b` alike, so gunicorn drops those with an underscore. Some callers send one on
purpose. Here such lines reach the application apart from the others, in a private header, where a provider may ask for them by
their own name. That takes the danger out of `header_map = "dangerous"`.
"""

from __future__ import annotations

import gc
import json
import threading
from typing import Any

from floway import settings

APART = "X-FLOWAY-UNDERSCORED"

bind = settings.FLOWAY_BIND
workers = settings.FLOWAY_WORKERS
worker_class = "floway.worker.Worker"
# The application is there before the processes are: `manage.py serve` has just checked it.
preload_app = True
# Room for those that are served, those that wait, and half as many again that are idle or are told to come again. WebSockets
# are among the served only while a turn runs on them, so they have room of their own.
worker_connections = (settings.FLOWAY_MAX_STREAMS + settings.FLOWAY_MAX_QUEUE) * 3 // 2 + settings.FLOWAY_WEBSOCKETS
backlog = 4096
keepalive = 75
timeout = 120
graceful_timeout = settings.FLOWAY_DRAIN_SECONDS + settings.FLOWAY_MAX_STREAM_SECONDS
# Official clients describe a whole workspace in one header.
limit_request_field_size = 64 * 1024
header_map = "dangerous"
# A C parser would be taken wherever one is installed; what this one refuses is tested.
http_parser = "python"
forwarded_allow_ips = ",".join(settings.FLOWAY_TRUSTED_PROXIES) or "127.0.0.1"
proc_name = "floway"
control_socket_disable = True
logconfig_dict = {
    **settings.LOGGING,
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True}},
}


def when_ready(_: Any) -> None:
    """gunicorn's hook before it forks: what is loaded once for all stays shared for as long as nobody touches it."""
    gc.collect()
    gc.freeze()


def pre_request(_: Any, req: Any) -> None:
    """gunicorn's hook before a request becomes a WSGI environment."""
    apart = [(name.lower(), value) for name, value in req.headers if "_" in name]
    if apart or any(name == APART for name, _ in req.headers):
        req.headers = [(name, value) for name, value in req.headers if "_" not in name and name != APART]
        req.headers.append((APART, json.dumps(apart)))


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook before a worker serves: it says that it lives, and may run the maintenance loop.

    Of those that run that loop, a lease lets one do the work.
    """
    from django.db import connection

    from accounts import maintenance
    from responses_app import fleet

    if connection.vendor == "sqlite":
        connection.fold_beside_the_traffic(connection.settings_dict["NAME"])  # type: ignore[attr-defined] # our backend's
    fleet.come_round()
    stop, holder = threading.Event(), maintenance.new_holder()
    worker.floway_upkeep = stop, holder
    threading.Thread(target=fleet.run, args=(stop,), name="heartbeat", daemon=True).start()
    if settings.FLOWAY_MAINTENANCE:
        threading.Thread(target=maintenance.run, args=(stop, holder), name="maintenance", daemon=True).start()


def worker_exit(_: Any, worker: Any) -> None:
    """gunicorn's hook at a worker's end: another one may take the lease at once, and nobody waits for its row to age."""
    from accounts import maintenance
    from responses_app import fleet

    if (upkeep := getattr(worker, "floway_upkeep", None)) is not None:
        stop, holder = upkeep
        stop.set()
        maintenance.release(holder)
        fleet.leave()
