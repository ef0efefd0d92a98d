"""Real git clones from the hub and pushes to it."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

from tests.bot.fakehub.conftest import FILES, Place

WRONG = "ghs_1_wrong"


def git(
    directory: Path, *arguments: str, token: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run git with a token the way a program should: neither in the command nor in the URL."""
    environment = {
        "PATH": os.defpath,
        "HOME": str(directory),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    if token is not None:
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        environment |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }
    command = ["git", "-c", "user.name=bot", "-c", "user.email=bot@example.com", *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def url(place: Place) -> str:
    return f"{place.server.base_url}/{place.repository}.git"


@pytest.fixture
def clone(place: Place, tmp_path: Path) -> Path:
    assert git(tmp_path, "clone", "--quiet", url(place), "clone").returncode == 0
    return tmp_path / "clone"


def commit(clone: Path, branch: str) -> str:
    git(clone, "checkout", "--quiet", "-B", branch)
    (clone / "calc" / "__init__.py").write_text("def add(a, b):\n    return a + b\n")
    git(clone, "commit", "--quiet", "--all", "--message", "Fix add")
    return git(clone, "rev-parse", "HEAD").stdout.strip()


def test_anybody_clones_what_is_public(place: Place, clone: Path) -> None:
    assert (clone / "README.md").read_text() == FILES["README.md"]


def test_a_push_with_a_token_makes_a_branch(place: Place, clone: Path) -> None:
    sha = commit(clone, "fix")
    assert git(clone, "push", "--quiet", "origin", "fix", token=place.token).returncode == 0
    found = place.app.client.get(f"{place.api}/branches/fix").json()
    assert found["commit"]["sha"] == sha
    assert found["commit"]["commit"]["message"] == "Fix add"


@pytest.mark.parametrize("token", [None, WRONG])
def test_a_push_without_a_good_token_is_refused(
    place: Place, clone: Path, token: str | None
) -> None:
    commit(clone, "fix")
    done = git(clone, "push", "origin", "fix", token=token)
    assert done.returncode != 0
    assert place.app.client.get(f"{place.api}/branches/fix").status_code == 404


def test_a_push_needs_write_access(place: Place, clone: Path) -> None:
    commit(clone, "fix")
    reader = place.app.token(place.installation_id, permissions={"contents": "read"})
    stranger = place.driver.create_user(f"{place.visitor}-x").token
    for token in (reader, stranger):
        done = git(clone, "push", "origin", "fix", token=token)
        assert done.returncode != 0
        assert "403" in done.stderr


def test_a_private_repository_opens_for_its_token_only(place: Place, tmp_path: Path) -> None:
    place.driver.make_private(place.repository)
    assert git(tmp_path, "clone", url(place), "one").returncode != 0
    assert git(tmp_path, "clone", url(place), "two", token=WRONG).returncode != 0
    assert git(tmp_path, "clone", url(place), "three", token=place.token).returncode == 0


def test_a_lease_lets_one_push_create_the_branch(place: Place, clone: Path) -> None:
    commit(clone, "fix")
    push = ("push", "--force-with-lease=fix:", "origin", "fix")
    assert git(clone, *push, token=place.token).returncode == 0
    git(clone, "commit", "--quiet", "--amend", "--message", "Fix add again")
    again = git(clone, *push, token=place.token)
    assert again.returncode != 0
    assert "stale info" in again.stderr


def test_nobody_pushes_to_the_refs_of_pull_requests(place: Place, clone: Path) -> None:
    commit(clone, "fix")
    done = git(clone, "push", "origin", "fix:refs/pull/1/head", token=place.token)
    assert done.returncode != 0


def test_a_push_is_told_to_the_app(place: Place, clone: Path) -> None:
    token = place.token
    commit(clone, "fix")
    git(clone, "push", "--quiet", "origin", "fix", token=token)
    new = {"title": "Fix", "head": "fix", "base": "main"}
    number = place.app.as_installation(token, "POST", f"{place.api}/pulls", json=new).json()[
        "number"
    ]
    (clone / "NEWS").write_text("fixed\n")
    git(clone, "add", "NEWS")
    git(clone, "commit", "--quiet", "--message", "Say so")
    git(clone, "push", "--quiet", "origin", "fix", token=token)
    told = [
        (one.event, one.action) for one in place.driver.deliveries() if place.repository in one.body
    ]
    assert told[-4:] == [
        ("push", None),
        ("pull_request", "opened"),
        ("push", None),
        ("pull_request", "synchronize"),
    ]
    assert place.driver.pull(place.repository, number)["commits"] == 2


def test_a_large_push_arrives(place: Place, clone: Path) -> None:
    (clone / "noise").write_bytes(os.urandom(3_000_000))  # git sends that in chunks
    git(clone, "add", "noise")
    git(clone, "commit", "--quiet", "--message", "Noise")
    assert git(clone, "push", "--quiet", "origin", "HEAD:noise", token=place.token).returncode == 0
    noise = place.driver.read_file(place.repository, "noise", ref="noise")
    assert noise == (clone / "noise").read_bytes()


def test_a_renamed_repository_is_still_cloned_by_its_old_name(place: Place, tmp_path: Path) -> None:
    old = url(place)
    place.driver.rename(place.repository, "calculator")
    assert git(tmp_path, "clone", old, "clone").returncode == 0


def test_an_archived_repository_takes_no_push(place: Place, clone: Path) -> None:
    place.driver.archive(place.repository)
    commit(clone, "fix")
    assert git(clone, "push", "origin", "fix", token=place.token).returncode != 0


def test_an_app_changes_workflows_only_with_that_permission(place: Place, clone: Path) -> None:
    (clone / ".github" / "workflows").mkdir(parents=True)
    (clone / ".github" / "workflows" / "ci.yml").write_text("on: push\n")
    git(clone, "add", ".github")
    git(clone, "commit", "--quiet", "--message", "Run tests")
    push = ("push", "origin", "HEAD:fix")
    refused = git(clone, *push, token=place.token)
    assert refused.returncode != 0
    assert "`.github/workflows/ci.yml` without `workflows` permission" in refused.stderr
    permissions = place.server.state.app.permissions | {"workflows": "write"}
    place.driver.set_permissions(place.installation_id, permissions)
    assert git(clone, *push, token=place.token).returncode == 0
