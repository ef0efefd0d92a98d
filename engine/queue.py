"""The Celery app, the names of its tasks, and `wake`. Messages carry ids and nothing else.

Measured: no broker that needs no server keeps a running task through `kill -9`, and Redis may run
a long task twice (docs/decisions/0002). So messages are acknowledged early and only wake people up.
"""

import logging
import time
import uuid
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport import filesystem
from kombu.utils.json import dumps

logger = logging.getLogger(__name__)

DISPATCH = "bot.dispatch"
SNAPSHOT = "bot.snapshot"
PROGRESS = "bot.progress"
PUBLISH = "bot.publish"
RECONCILE = "bot.reconcile"
REPAIR = "engine.repair"
PREPARE = "engine.prepare"
EVALUATE = "engine.evaluate"
CHECK = "engine.check"

POLL_S = 0.1
"""How often a worker looks into the queue's folder when the broker is filesystem://."""

CONTROL, GPU, SANDBOX, LAST_LOOK = "control", "gpu", "sandbox", "last-look"
QUEUES = {
    DISPATCH: CONTROL,
    SNAPSHOT: CONTROL,
    PROGRESS: CONTROL,
    PUBLISH: CONTROL,
    RECONCILE: CONTROL,
    REPAIR: GPU,
    PREPARE: SANDBOX,
    EVALUATE: SANDBOX,
    CHECK: LAST_LOOK,
}


class WholeFiles(filesystem.Channel):
    """kombu's folder as queue, but a file appears whole or not at all.

    kombu writes in place and locks after opening, so a quick reader takes an empty message and its
    worker ends; seen under load.
    """

    def _put(  # type: ignore[override]  # as the stubs of the class above say too
        self, queue: str, payload: dict[str, Any], **_: Any
    ) -> None:
        name = f"{time.time_ns()}_{uuid.uuid4().hex}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, dumps(payload))

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        wanted = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        table = self.get_table(exchange)
        if wanted not in table:
            file = self.control_folder / f"{exchange}.exchange"
            _write_whole(file, dumps([wanted, *table]))


class Transport(filesystem.Transport):
    """The transport of `filesystem://`, as the app names it."""

    Channel = WholeFiles


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def make_app(broker_url: str, broker_dir: Path) -> Celery:
    """Make the app for one process. `broker_dir` is used by `filesystem://` only."""
    app = Celery("evoscale", broker=broker_url, set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport(broker_url, broker_dir),
        task_acks_late=False,
        task_default_queue=CONTROL,
        task_ignore_result=True,
        task_routes={name: {"queue": queue} for name, queue in QUEUES.items()},
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
    )
    if broker_url.startswith("filesystem"):
        app.conf.broker_transport = f"{__name__}:Transport"
    return app


def _transport(broker_url: str, broker_dir: Path) -> dict[str, str | float]:
    if broker_url.startswith("redis"):
        return {"visibility_timeout": 3600, "unacked_restore_throttle": 1}
    if not broker_url.startswith("filesystem"):
        return {}
    folder = broker_dir.resolve()
    for name in ("messages", "done", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folder / "messages"),
        "data_folder_out": str(folder / "messages"),
        "processed_folder": str(folder / "done"),
        "control_folder": str(folder / "control"),
        "polling_interval": POLL_S,
    }


def wake(app: Celery, task: str, *ids: str | int) -> bool:
    """Tell whoever works `task` that there is something to do; False when the broker is down.

    A lost message is harmless: `bot.reconcile` and the lease sweeps wake again.
    """
    try:
        app.send_task(task, args=ids, queue=QUEUES[task], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("could not wake %s: %s", task, error)
        return False
    return True
