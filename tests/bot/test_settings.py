import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr, ValidationError

from bot import settings
from bot.errors import SettingsInvalidError
from bot.settings import BotSettings, normal_key
from tests.factories import SECRET, make_settings


@pytest.fixture
def pem(key: SecretStr) -> str:
    return key.get_secret_value()


@pytest.fixture
def environment(pem: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("EVOSCALE_BOT_APP_ID", "7")
    monkeypatch.setenv("EVOSCALE_BOT_PRIVATE_KEY", pem)
    monkeypatch.setenv("EVOSCALE_BOT_WEBHOOK_SECRET", SECRET.get_secret_value())
    return monkeypatch


def pkcs8(pem: str) -> str:
    key = load_pem_private_key(pem.encode(), password=None)
    return key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    ).decode()


def same_key(one: str, other: str) -> bool:
    return pkcs8(one) == pkcs8(other)


WAYS = {
    "as it is": lambda pem: pem,
    "pkcs8": pkcs8,
    "literal line ends": lambda pem: pem.replace("\n", "\\n"),
    "windows line ends": lambda pem: pem.replace("\n", "\r\n"),
    "quoted": lambda pem: f'"{pem}"',
    "spaces for line ends": lambda pem: pem.replace("\n", " "),
    "base64": lambda pem: base64.b64encode(pem.encode()).decode(),
    "base64 in lines": lambda pem: base64.encodebytes(pem.encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_private_key_may_come_in_many_ways(pem: str, way: str) -> None:
    assert same_key(normal_key(WAYS[way](pem)), pem)


def test_a_private_key_may_be_a_path(pem: str, tmp_path: Path) -> None:
    path = tmp_path / "app.pem"
    path.write_text(pem)
    assert same_key(normal_key(str(path)), pem)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "it is empty"),
        ("hello", "neither PEM text"),
        ("/nowhere/app.pem", "cannot be read: FileNotFoundError"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "cannot be read"),
    ],
)
def test_a_key_that_is_none_is_refused_with_a_reason(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        normal_key(given)


def test_a_key_of_another_kind_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    ).decode()
    with pytest.raises(ValueError, match="no RSA key"):
        normal_key(text)


@pytest.mark.parametrize("secret", ["", "development", "short", "Development"])
def test_a_weak_webhook_secret_is_refused(key: SecretStr, secret: str) -> None:
    with pytest.raises(ValidationError, match="16 characters or more"):
        make_settings(key, webhook_secret=secret)


def test_the_environment_is_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("EVOSCALE_BOT_LABEL", "fix-me")
    environment.setenv("EVOSCALE_BOT_ALLOW_TRIAGE", "true")
    found = settings.load()
    assert (found.app_id, found.label, found.allow_triage) == (7, "fix-me", True)
    assert found.secrets == (SECRET,)


def test_what_is_missing_is_named_and_no_value_is_shown(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("EVOSCALE_BOT_APP_ID")
    environment.setenv("EVOSCALE_BOT_WEBHOOK_SECRET", "tooshort")
    with pytest.raises(SettingsInvalidError) as raised:
        settings.load()
    assert "EVOSCALE_BOT_APP_ID" in str(raised.value)
    assert "EVOSCALE_BOT_WEBHOOK_SECRET" in str(raised.value)
    assert "tooshort" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_secrets_may_lie_in_files(
    environment: pytest.MonkeyPatch, pem: str, tmp_path: Path
) -> None:
    for name, text in (("private_key", pem), ("webhook_secret", "a secret from a file\n")):
        (tmp_path / name).write_text(text)
        environment.delenv(f"EVOSCALE_BOT_{name.upper()}")
        environment.setenv(f"EVOSCALE_BOT_{name.upper()}_FILE", str(tmp_path / name))
    found = settings.load()
    assert found.webhook_secret.get_secret_value() == "a secret from a file"
    assert same_key(found.private_key.get_secret_value(), pem)


def test_a_secret_s_file_that_is_not_there_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("EVOSCALE_BOT_WEBHOOK_SECRET")
    environment.setenv("EVOSCALE_BOT_WEBHOOK_SECRET_FILE", "/nowhere")
    with pytest.raises(SettingsInvalidError, match="file for webhook_secret"):
        settings.load()


def test_secrets_are_never_printed(key: SecretStr, pem: str) -> None:
    made = make_settings(key, previous_webhook_secret="the secret before this one")
    shown = f"{made!r} {made} {made.model_dump()} {made.model_dump_json()}"
    for secret in (pem, SECRET.get_secret_value(), "the secret before this one"):
        assert secret not in shown


def test_a_usual_budget_above_the_most_is_refused(key: SecretStr) -> None:
    with pytest.raises(ValidationError, match="more than max_iterations"):
        make_settings(key, iterations=9, max_iterations=8)


def test_budgets_follow_the_settings(key: SecretStr) -> None:
    made = make_settings(key, iterations=3, candidates=2, minutes=5, max_minutes=10)
    assert (made.usual_budget.iterations, made.usual_budget.wall_clock_s) == (3, 300.0)
    assert made.most_budget.wall_clock_s == 600.0


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in BotSettings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_a_child_gets_few_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("EVOSCALE_BOT_WEBHOOK_SECRET", "x")
    found = settings.child_environment()
    assert found["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert set(found) <= set(settings.CHILD_VARIABLES)
