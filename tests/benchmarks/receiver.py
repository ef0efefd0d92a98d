"""The receiver: latency and throughput of signed deliveries, its process held to one core."""

import hashlib
import hmac
import json
import os
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bot.demo.stack import running

DELIVERIES = 1000
CLIENTS = 8


def measure() -> dict[str, float | int | str]:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), "auto", {}) as stack:
        os.sched_setaffinity(stack.parts["web"].process.pid, {0})
        body = json.dumps({"action": "opened", "repository": {"id": 1}, "pad": "x" * 8000}).encode()
        secret = stack.hub.webhook_secret.encode()
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()

        with httpx.Client(base_url=stack.web_url, timeout=30) as client:

            def send(_number: int) -> float:
                headers = {
                    "X-Hub-Signature-256": signature,
                    "X-GitHub-Event": "watch",
                    "X-GitHub-Delivery": str(uuid.uuid4()),
                    "Content-Type": "application/json",
                }
                began = time.perf_counter()
                answer = client.post("/webhooks/github", content=body, headers=headers)
                answer.raise_for_status()
                return 1000 * (time.perf_counter() - began)

            began = time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as pool:
                spent = sorted(pool.map(send, range(DELIVERIES)))
            total = time.perf_counter() - began
    return {
        "deliveries": DELIVERIES,
        "clients": CLIENTS,
        "p50_ms": spent[len(spent) // 2],
        "p99_ms": spent[int(len(spent) * 0.99)],
        "requests_per_s": DELIVERIES / total,
    }
