"""Runs where `swebench` is installed: its own `run_instance`, once for each line of input.

Started by `swebench_way`, in a virtual environment that has nothing of this project. The first line
is the instance; each further one names a run and says whether the harness ends its container in
its own way (`docker stop` with 15 s of grace) or the container is removed at once.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import IO, Protocol

TIMEOUT_S = 120
TOLD = 500


class Removable(Protocol):
    """What this program asks of a container of Docker's SDK."""

    def remove(self, *, force: bool) -> None:
        """End and remove it."""


def main(orders: IO[str], answers: IO[str]) -> None:
    """Answer each order with whether the candidate was found to be right."""
    evaluation = importlib.import_module("swebench.harness.run_evaluation")
    client = importlib.import_module("docker").from_env(timeout=TIMEOUT_S)
    instance = json.loads(orders.readline())
    spec = importlib.import_module("swebench.harness.utils").make_test_spec(instance["spec"])
    name = spec.instance_id
    candidate = {
        "instance_id": name,
        "model_patch": instance["patch"],
        "model_name_or_path": "bench",
    }
    own_end = evaluation.cleanup_container

    def remove(_client: object, container: Removable | None, _logger: object) -> None:
        if container is not None:
            container.remove(force=True)

    for line in orders:
        order = json.loads(line)
        vars(evaluation)["cleanup_container"] = own_end if order["own_end"] else remove
        found = evaluation.run_instance(spec, candidate, client, order["run"], TIMEOUT_S)
        right = found is not None and bool(found[1][name]["resolved"])
        log = Path(evaluation.RUN_EVALUATION_LOG_DIR, order["run"], "bench", name)
        answers.write(json.dumps({"resolved": right, "why": "" if right else _told(log)}) + "\n")
        answers.flush()


def _told(log: Path) -> str:
    """The end of what the harness wrote down about a run."""
    files = [log / "run_instance.log", log / "test_output.txt"]
    texts = [file.read_text(errors="replace") for file in files if file.is_file()]
    return " ".join(" ".join(texts).split())[-TOLD:] or "the harness wrote no log"


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(2, 1)  # the harness prints, and its words are no answers
        main(sys.stdin, told)
