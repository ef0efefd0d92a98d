"""The scorer behind HTTP, for trainers of any library: TRL's ranks, OpenRLHF and verl.

`POST /score` gives R(x, y) of completions, `POST /objective` R(x, y) - R(x, y') - lambda F(y), and
`POST /get_reward` the same in the words that OpenRLHF's `--reward.remote_url` speaks.
"""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import BadInputError
from engine.models.base import Profile
from engine.training.libraries.messages import usable
from engine.training.libraries.scoring import Scorer, objective
from engine.training.libraries.tasks import TaskFile

MAX_BODY_BYTES = 64_000_000
MAX_ROWS = 4_096


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CompletionRow(_Asked):
    """A completion of a task; `previous` is R(x, y') of the example that it is compared with."""

    instance_id: str
    completion: str
    previous: float = 0.0


class Rows(_Asked):
    """What `/score` and `/objective` are asked."""

    rows: tuple[CompletionRow, ...] = Field(max_length=MAX_ROWS)


class Label(_Asked):
    """What the export writes into OpenRLHF's label, as JSON text."""

    instance_id: str
    previous: float = 0.0


class Queries(_Asked):
    """What OpenRLHF asks: prompt and completion in one text, the prompt, and the label."""

    query: tuple[str, ...] = Field(max_length=MAX_ROWS)
    prompts: tuple[str, ...]
    labels: tuple[str, ...]


class Rewards:
    """Answers requests with one scorer, one at a time."""

    def __init__(self, tasks: TaskFile, scorer: Scorer, profile: Profile, penalty: float) -> None:
        """Take what it scores with."""
        self._tasks, self._scorer = tasks, scorer
        self._profile, self._penalty = profile, penalty
        self._one_at_a_time = threading.Lock()

    def scores(self, rows: tuple[CompletionRow, ...]) -> list[float | None]:
        """R(x, y) of each completion; None where it is no usable edit.

        Raises:
            BadInputError: a task is unknown, or the scorer does not answer.
        """
        tasks = [self._tasks.get(row.instance_id) for row in rows]
        read = [
            usable(task, row.completion, self._profile)
            for task, row in zip(tasks, rows, strict=True)
        ]
        pairs = [(task, each) for task, each in zip(tasks, read, strict=True) if each]
        with self._one_at_a_time:
            found = iter(self._scorer.score(pairs) if pairs else ())
        return [next(found) if each else None for each in read]

    def score(self, body: bytes) -> dict[str, object]:
        """`/score`: 0 where a completion is no usable edit."""
        rows = Rows.model_validate_json(body).rows
        return {"scores": [score or 0.0 for score in self.scores(rows)]}

    def objective(self, body: bytes) -> dict[str, object]:
        """`/objective`: the rewards, and which completions were usable."""
        rows = Rows.model_validate_json(body).rows
        scores = self.scores(rows)
        return {
            "rewards": self._objectives(rows, scores),
            "usable": [score is not None for score in scores],
        }

    def get_reward(self, body: bytes) -> dict[str, object]:
        """`/get_reward`: OpenRLHF's answer, with the share of usable completions as a log."""
        asked = Queries.model_validate_json(body)
        rows = tuple(
            CompletionRow(
                completion=query[len(prompt) :] if query.startswith(prompt) else query,
                **Label.model_validate_json(label).model_dump(),
            )
            for query, prompt, label in zip(asked.query, asked.prompts, asked.labels, strict=True)
        )
        scores = self.scores(rows)
        rewards = self._objectives(rows, scores)
        usable_ones = [float(score is not None) for score in scores]
        plain = [score or 0.0 for score in scores]
        return {"rewards": rewards, "scores": plain, "extra_logs": {"usable": usable_ones}}

    def _objectives(
        self, rows: tuple[CompletionRow, ...], scores: list[float | None]
    ) -> list[float]:
        return [
            objective(score, row.previous, self._penalty)
            for row, score in zip(rows, scores, strict=True)
        ]


def make_server(rewards: Rewards, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound and not yet running; port 0 takes a free one.

    Raises:
        BadInputError: the address cannot be bound.
    """
    answers = {
        "/score": rewards.score,
        "/objective": rewards.objective,
        "/get_reward": rewards.get_reward,
    }
    handler = type("_RewardHandler", (_Handler,), {"answers": answers})
    try:
        return ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise BadInputError(
            f"{host}:{port} cannot be bound: {error}; name another --host or --port"
        ) from error


class _Handler(BaseHTTPRequestHandler):
    answers: ClassVar[Mapping[str, Callable[[bytes], dict[str, object]]]] = {}

    def do_GET(self) -> None:
        """Whether it is up."""
        self._send(200, {"status": "ready"})

    def do_POST(self) -> None:
        """One request; what is wrong with it is said in the answer."""
        answer = self.answers.get(self.path)
        length = self.headers.get("Content-Length", "")
        if answer is None:
            self._send(404, {"error": f"ask {', '.join(self.answers)}"})
        elif not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self._send(413, {"error": f"send a body of at most {MAX_BODY_BYTES} bytes"})
        else:
            self._answer(answer, self.rfile.read(int(length)))

    def _answer(self, answer: Callable[[bytes], dict[str, object]], body: bytes) -> None:
        try:
            told = answer(body)
        except (ValidationError, ValueError) as error:
            self._send(400, {"error": str(error)})
        except BadInputError as error:
            self._send(422, {"error": str(error)})
        else:
            self._send(200, told)

    def _send(self, status: int, told: dict[str, object]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # the base class's name
        """Nothing a request: there are thousands a minute."""
