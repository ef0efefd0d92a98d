"""`evoscale receive` and `evoscale replay`: deliveries without GitHub."""

import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

MAX_BYTES = 25 * 1024**2


def receive(
    event: Annotated[str, typer.Argument(help="The event's name, such as issues.")],
    payload: Annotated[Path, typer.Argument(help="A file that holds a delivery's JSON body.")],
    label: Annotated[str, typer.Option(help="The label that starts a job.")] = "evoscale",
    app_id: Annotated[int, typer.Option(help="Our app's id, to know our own events.")] = 1,
    login: Annotated[str, typer.Option(help="Our app's login.")] = "evoscale[bot]",
    queue: Annotated[
        bool, typer.Option("--queue", help="Also put it into the inbox, as if GitHub had sent it.")
    ] = False,
) -> None:
    """Say what a saved webhook payload would make the bot do.

    Reads no settings and calls nobody, unless `--queue` is given.
    """
    from bot.events import Payload
    from bot.triggers import Ignored, Rules, decide
    from engine.errors import BadInputError

    try:
        body = payload.read_bytes()
    except OSError as error:
        raise BadInputError(f"{payload} cannot be read: {error.strerror}") from error
    if len(body) > MAX_BYTES:
        raise BadInputError(f"{payload} is larger than GitHub's limit of {MAX_BYTES} bytes")
    read = _read(body, payload)
    out = Console()
    if not isinstance(read, Payload):
        out.print(f"ignored: {read}", markup=False)
        return
    decision = decide(event, read, Rules(label=label, app_id=app_id, bot_login=login))
    if isinstance(decision, Ignored):
        out.print(f"ignored: {decision.reason}", markup=False)
    else:
        out.print(f"{type(decision).__name__}:", decision)
    if queue:
        out.print(f"queued as delivery {_queue(event, body)}")


def _read(body: bytes, payload: Path) -> object:
    from bot.events import read
    from engine.errors import BadInputError

    found = read(body)
    if isinstance(found, str) and not body.lstrip().startswith(b"{"):
        raise BadInputError(f"{payload} is no JSON object; save the body of one delivery in it")
    return found


def _queue(event: str, body: bytes) -> str:
    from bot import settings
    from bot.inbox import Delivery, Inbox
    from engine.store import connect, migrate

    engine = connect(settings.load().database_url)
    migrate(engine)
    delivery_id = str(uuid.uuid4())
    Inbox(engine).accept(Delivery(delivery_id=delivery_id, event=event, body=body))
    return delivery_id


def replay(
    delivery_id: Annotated[str, typer.Argument(help="A delivery's GUID, from GitHub's list.")],
) -> None:
    """Work a delivery of the inbox off once more, under its old id.

    Safe: what it started before is found again by its keys, not started twice.
    """
    from bot import settings
    from bot.inbox import Inbox
    from engine.errors import BadInputError
    from engine.store import connect

    inbox = Inbox(connect(settings.load().database_url))
    if inbox.state_of(delivery_id) is None:
        raise BadInputError(
            f"there is no delivery {delivery_id} in the inbox; ask GitHub to send it again, on the "
            "app's page under advanced"
        )
    inbox.reopen(delivery_id)
    Console().print(f"delivery {delivery_id} waits to be worked off again")
