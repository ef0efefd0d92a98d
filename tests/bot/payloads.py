"""Our own captures (from fakehub), and ways to bend them."""

import json
from pathlib import Path

from bot.events import Payload, read

FOLDER = Path(__file__).parents[1] / "fixtures" / "payloads"


class Capture:
    """One captured payload; `bent` gives it with some fields changed, dotted path by path."""

    def __init__(self, name: str) -> None:
        self.document = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))

    def bent(self, **changed: object) -> bytes:
        document = json.loads(json.dumps(self.document))
        for path, value in changed.items():
            *parents, last = path.split("__")
            place = document
            for parent in parents:
                place = place[parent]
            if value is ...:
                del place[last]
            else:
                place[last] = value
        return json.dumps(document).encode()

    def payload(self, **changed: object) -> Payload:
        found = read(self.bent(**changed))
        assert isinstance(found, Payload), found
        return found


def captures() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))
