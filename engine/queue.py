"""The Celery app, the names of its tasks, and `wake`. Messages carry ids and nothing else.

Measured: no broker that needs no server keeps a running task through `kill -9`, and Redis may run
a long task twice (docs/decisions/0002). So messages are acknowledged early and only wake people up.
"""

import logging
from pathlib import Path

from celery import Celery
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

DISPATCH = "bot.dispatch"
SNAPSHOT = "bot.snapshot"
PROGRESS = "bot.progress"
PUBLISH = "bot.publish"
RECONCILE = "bot.reconcile"
REPAIR = "engine.repair"
EVALUATE = "engine.evaluate"

POLL_S = 0.1
"""How often a worker looks into the queue's folder when the broker is filesystem://."""

CONTROL, GPU, SANDBOX = "control", "gpu", "sandbox"
QUEUES = {
    DISPATCH: CONTROL,
    SNAPSHOT: CONTROL,
    PROGRESS: CONTROL,
    PUBLISH: CONTROL,
    RECONCILE: CONTROL,
    REPAIR: GPU,
    EVALUATE: SANDBOX,
}


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
