"""Git over HTTP: the real `git http-backend`, behind the same credentials as the REST API."""

import subprocess
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from bot.fakehub.actions_issue import Act
from bot.fakehub.actions_pull import after_push
from bot.fakehub.answers import ApiError, not_found
from bot.fakehub.git_repository import NO_WORKFLOWS, git_environment, git_program
from bot.fakehub.model import Repository
from bot.fakehub.routing import FaultyRoute, current_hub
from bot.fakehub.tokens import Caller, caller_of, covers, may_read, require
from bot.fakehub.visit import WRITE_CONTENTS

router = APIRouter(route_class=FaultyRoute)

RECEIVE_PACK = "git-receive-pack"
# Git lets everybody push, since who may was decided before git was asked; but the refs of pull
# requests belong to the hub, and as at GitHub nobody pushes to them.
BACKEND = ("-c", "http.receivepack=true", "-c", "receive.hideRefs=refs/pull", "http-backend")


@router.api_route("/{owner}/{repo}.git/{service:path}", methods=["GET", "POST"])
async def serve(request: Request, owner: str, repo: str, service: str) -> Response:
    """Answer a git client."""
    body = await request.body()
    try:
        return await run_in_threadpool(_serve, request, f"{owner}/{repo}", service, body)
    except ApiError as error:
        return _plain(error)


def _serve(request: Request, full_name: str, service: str, body: bytes) -> Response:
    hub = current_hub(request)
    caller = caller_of(hub, request)
    repository = hub.repository(*full_name.split("/")) or hub.renamed(*full_name.split("/"))
    writes = RECEIVE_PACK in (service, request.query_params.get("service"))
    if repository is None or not may_read(hub, caller, repository):
        # Without being asked for credentials, git would never send any.
        raise _ask_for_credentials() if caller == Caller() else not_found()
    if not writes:
        return _run_backend(request, repository, service, body)
    if caller == Caller():
        raise _ask_for_credentials()
    act = Act(hub, repository, require(hub, caller, repository, WRITE_CONTENTS), caller.via_app)
    with hub.push_lock(repository):
        before = hub.git(repository).refs()
        limits = _limits(caller)
        response = _run_backend(
            request, repository, service, body, REMOTE_USER=act.user.login, **limits
        )
        after_push(act, before)
    return response


def _limits(caller: Caller) -> dict[str, str]:
    """What the hook must know: a person may change workflows, an app needs a permission for it."""
    if caller.grant is None or covers(caller.grant.permissions, "workflows", "write"):
        return {}
    return {NO_WORKFLOWS: "1"}


def _run_backend(
    request: Request, repository: Repository, service: str, body: bytes, **extra: str
) -> Response:
    environment = git_environment(
        GIT_PROJECT_ROOT=str(repository.path.parent),
        GIT_HTTP_EXPORT_ALL="1",
        PATH_INFO=f"/{repository.path.name}/{service}",
        REQUEST_METHOD=request.method,
        QUERY_STRING=request.url.query,
        CONTENT_TYPE=request.headers.get("content-type", ""),
        CONTENT_LENGTH=str(len(body)),
        HTTP_CONTENT_ENCODING=request.headers.get("content-encoding", ""),
        GIT_PROTOCOL=request.headers.get("git-protocol", ""),
        REMOTE_ADDR="127.0.0.1",
        **extra,
    )
    done = subprocess.run(
        [git_program(), *BACKEND],
        input=body,
        env=environment,
        capture_output=True,
        check=False,
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = headers.pop(
        "Status", "200 OK" if done.returncode == 0 else "500 Internal Server Error"
    )
    return Response(content, int(status.split(" ")[0]), headers)


def _ask_for_credentials() -> ApiError:
    headers = {"www-authenticate": 'Basic realm="GitHub"'}
    return ApiError(HTTPStatus.UNAUTHORIZED, "No anonymous write access.", headers=headers)


def _plain(error: ApiError) -> Response:
    """An error for a git client, which shows plain text to its user."""
    headers = dict(error.headers)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Basic realm="GitHub"'
    return Response(f"remote: {error.message}\n", error.status, headers, "text/plain")
