"""`python -m bot.fakehub`: the hub in a process, for the demo and for trying things out."""

import argparse
import os
import signal
import sys
from pathlib import Path

from bot.fakehub.admin import credentials
from bot.fakehub.server import FakehubServer


def main() -> None:
    """Serve until interrupted."""
    options = _parser().parse_args()
    # A shell without job control has its background commands ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    directory: Path = options.directory
    directory.mkdir(parents=True, exist_ok=True)
    server = FakehubServer(
        directory,
        port=options.port,
        webhook_url=options.webhook_url,
        record=options.record,
        slug=options.slug,
    )
    with server:
        text = credentials(server.state).model_dump_json(indent=2)
        write_secret(options.credentials or directory / "credentials.json", text)
        sys.stdout.write(
            f"fakehub is at {server.base_url}, its app has the id {server.state.app.app_id}\n"
        )
        sys.stdout.flush()
        try:
            server.wait()
        except KeyboardInterrupt:
            sys.stdout.write("fakehub stops\n")


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, at once: readers wait for it to appear."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    unfinished.replace(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bot.fakehub", description="A GitHub on your own machine."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--directory", type=Path, required=True, help="where repositories go")
    parser.add_argument(
        "--webhook-url", help="where deliveries go; may be set later through the driver"
    )
    parser.add_argument(
        "--credentials", type=Path, help="where the app's key and secrets are written, mode 600"
    )
    parser.add_argument("--slug", default="evoscale", help="the app's short name")
    parser.add_argument("--record", action="store_true", help="keep every exchange, for a referee")
    return parser


if __name__ == "__main__":
    main()
