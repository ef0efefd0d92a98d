"""The file that verl's `reward.custom_reward_function.path` names; it asks the reward server.

It is loaded by its path inside verl's workers, where this package need not be installed, and so
imports nothing but the standard library.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping

REWARD_URL = "http://127.0.0.1:8100/objective"
TIMEOUT_S = 180.0


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, object] | None = None,
    reward_url: str = REWARD_URL,
    **_: object,
) -> dict[str, float]:
    """R(x, y) - R(x, y') - lambda F(y) of one completion; `ground_truth` is the exported label.

    Set another address with `reward.custom_reward_function.reward_kwargs.reward_url`.

    Raises:
        RuntimeError: the server does not answer; a training without rewards has to stop.
    """
    if not reward_url.startswith(("http://", "https://")):
        raise RuntimeError(f"reward_url {reward_url!r} is no http address")
    row = {**json.loads(ground_truth), "completion": solution_str}
    body = json.dumps({"rows": [row]}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(reward_url, body, headers)  # noqa: S310  # checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  # likewise
            told = json.load(answer)
    except (OSError, ValueError) as error:
        raise RuntimeError(
            f"the reward server {reward_url} does not answer ({error}); "
            f"start it with `evoscale train large serve` (row of {data_source}, "
            f"{(extra_info or {}).get('index', '?')})"
        ) from error
    return {"score": float(told["rewards"][0]), "usable": float(told["usable"][0])}
