"""Signed webhooks: an event becomes a delivery, and a thread hands deliveries to the app."""

import hashlib
import hmac
import json
import threading
import time
import uuid

import httpx

from bot.fakehub import payloads_repository as payloads
from bot.fakehub.model import Delivery, Installation, JsonObject, Repository, User
from bot.fakehub.state import HubState

# GitHub hangs up after that and counts the delivery as failed.
ANSWER_WITHIN_S = 10.0
USER_AGENT = "GitHub-Hookshot/fa4e0b0"
NO_URL = "no webhook URL"


def sign(secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature-256`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def emit(
    hub: HubState,
    repository: Repository,
    event: str,
    action: str | None,
    sender: User,
    parts: JsonObject,
) -> None:
    """Tell the app what happened, if it is installed there and asked for such events."""
    installation = hub.installation_of(repository)
    if installation is None or installation.suspended_at is not None or event not in hub.app.events:
        return
    document: JsonObject = {} if action is None else {"action": action}
    document |= parts
    document |= {
        "repository": payloads.repository(hub, repository),
        "sender": payloads.user(hub, sender),
        "installation": {
            "id": installation.installation_id,
            "node_id": payloads.node_id("MDI", installation.installation_id),
        },
    }
    _enqueue(hub, event, action, installation, repository, document)


def emit_installation(
    hub: HubState,
    installation: Installation,
    event: str,
    action: str,
    sender: User,
    parts: JsonObject,
) -> None:
    """Tell the app about itself; no app can unsubscribe from these."""
    document: JsonObject = {
        "action": action,
        "installation": payloads.installation(hub, installation),
    }
    document |= parts
    document |= {"requester": None, "sender": payloads.user(hub, sender)}
    _enqueue(hub, event, action, installation, None, document)


def ping(hub: HubState) -> None:
    """Send what GitHub sends when a webhook is set up."""
    document: JsonObject = {
        "zen": "Non-blocking is better than blocking.",
        "hook_id": hub.app.app_id,
        "hook": {
            "type": "App",
            "id": hub.app.app_id,
            "name": "web",
            "active": True,
            "events": list(hub.app.events),
            "app_id": hub.app.app_id,
            "config": {"content_type": "json", "insecure_ssl": "0", "url": hub.app.webhook_url},
        },
    }
    _enqueue(hub, "ping", None, None, None, document)


def redeliver(hub: HubState, delivery: Delivery) -> Delivery:
    """Send a delivery again: a new attempt with the old guid and the old body."""
    again = Delivery(
        delivery_id=hub.next_id(),
        guid=delivery.guid,
        event=delivery.event,
        action=delivery.action,
        installation_id=delivery.installation_id,
        repository_id=delivery.repository_id,
        body=delivery.body,
        redelivery=True,
    )
    _append(hub, again)
    return again


def _enqueue(
    hub: HubState,
    event: str,
    action: str | None,
    installation: Installation | None,
    repository: Repository | None,
    document: JsonObject,
) -> None:
    delivery = Delivery(
        delivery_id=hub.next_id(),
        guid=str(uuid.uuid4()),
        event=event,
        action=action,
        installation_id=installation.installation_id if installation else None,
        repository_id=repository.repository_id if repository else None,
        body=json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
        redelivery=False,
    )
    _append(hub, delivery)


def _append(hub: HubState, delivery: Delivery) -> None:
    with hub.lock:
        hub.deliveries.append(delivery)
        hub.outbox.put(delivery)


class WebhookSender:
    """The thread that sends. It never tries twice: neither does GitHub."""

    def __init__(self, hub: HubState) -> None:
        self._hub = hub
        self._thread = threading.Thread(target=self._send_all, name="fakehub-webhooks", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the delivery on its way and end."""
        self._hub.outbox.close()
        self._thread.join(ANSWER_WITHIN_S * 2)

    def _send_all(self) -> None:
        with httpx.Client(timeout=ANSWER_WITHIN_S, trust_env=False) as client:
            while (delivery := self._hub.outbox.take()) is not None:
                try:
                    _send(self._hub, delivery, client)
                finally:
                    self._hub.outbox.done()


def _send(hub: HubState, delivery: Delivery, client: httpx.Client) -> None:
    url = hub.app.webhook_url
    delivery.request_headers = _headers(hub, delivery)
    started = time.monotonic()
    if url is None:
        delivery.status = NO_URL
    else:
        _post(delivery, url, client)
    delivery.duration_s = time.monotonic() - started
    delivery.delivered_at = hub.clock()


def _post(delivery: Delivery, url: str, client: httpx.Client) -> None:
    try:
        answer = client.post(url, content=delivery.body, headers=delivery.request_headers)
    except httpx.TimeoutException:
        delivery.status = "timed out"
    except httpx.HTTPError as error:
        delivery.status = f"failed to connect to host: {type(error).__name__}"
    else:
        delivery.status_code = answer.status_code
        delivery.status = (
            "OK" if answer.is_success else f"Invalid HTTP Response: {answer.status_code}"
        )
        delivery.response_headers = dict(answer.headers)
        delivery.response_body = answer.text


def _headers(hub: HubState, delivery: Delivery) -> dict[str, str]:
    return {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Hook-ID": str(hub.app.app_id),
        "X-GitHub-Hook-Installation-Target-ID": str(hub.app.app_id),
        "X-GitHub-Hook-Installation-Target-Type": "integration",
        "X-Hub-Signature-256": sign(hub.app.webhook_secret, delivery.body),
    }
