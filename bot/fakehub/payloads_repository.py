"""Accounts, repositories, installations and commits as GitHub writes them in JSON."""

from bot.fakehub.git_repository import Commit
from bot.fakehub.model import (
    Delivery,
    Installation,
    JsonObject,
    Repository,
    Role,
    User,
    timestamp,
    timestamp_or_none,
)
from bot.fakehub.state import HubState

_USER_URLS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_URLS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


def node_id(kind: str, number: int) -> str:
    """A GraphQL id; nothing here speaks GraphQL, but every document carries one."""
    return f"{kind}_kwDO{number:08x}"


def repository_url(hub: HubState, repository: Repository) -> str:
    """Where the API knows the repository."""
    return f"{hub.base_url}/repos/{repository.full_name}"


def repository_html_url(hub: HubState, repository: Repository) -> str:
    """Where people look at it."""
    return f"{hub.base_url}/{repository.full_name}"


def user(hub: HubState, account: User) -> JsonObject:
    """A `simple-user`."""
    url = f"{hub.base_url}/users/{account.login}"
    document: JsonObject = {
        "login": account.login,
        "id": account.user_id,
        "node_id": node_id("U", account.user_id),
        "avatar_url": f"{hub.base_url}/_fakehub/avatars/{account.user_id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{hub.base_url}/{account.login.removesuffix('[bot]')}",
        "type": account.type,
        "user_view_type": "public",
        "site_admin": False,
    }
    document |= {field: url + suffix for field, suffix in _USER_URLS.items()}
    return document


def user_or_none(hub: HubState, account: User | None) -> JsonObject | None:
    """A `simple-user`, or null for a ghost."""
    return None if account is None else user(hub, account)


def repository(hub: HubState, repo: Repository, *, full: bool = False) -> JsonObject:
    """A `repository`; with `full`, the few fields more that asking for one gives."""
    url, html_url = repository_url(hub, repo), repository_html_url(hub, repo)
    open_issues = sum(issue.state == "open" for issue in list(repo.issues.values()))
    document: JsonObject = {
        "id": repo.repository_id,
        "node_id": node_id("R", repo.repository_id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "owner": user(hub, repo.owner),
        "html_url": html_url,
        "description": repo.description,
        "fork": False,
        "url": url,
        "created_at": timestamp(repo.created_at),
        "updated_at": timestamp(repo.updated_at),
        "pushed_at": timestamp(repo.pushed_at),
        "git_url": f"git:{html_url.partition(':')[2]}.git",
        "ssh_url": f"git@127.0.0.1:{repo.full_name}.git",
        "clone_url": f"{html_url}.git",
        "svn_url": html_url,
        "default_branch": repo.default_branch,
        "archived": repo.archived,
        "visibility": "private" if repo.private else "public",
        "open_issues": open_issues,
        "open_issues_count": open_issues,
    }
    document |= {field: url + suffix for field, suffix in _REPOSITORY_URLS.items()}
    document |= _unremarkable()
    if full:
        document |= {"network_count": 0, "subscribers_count": 0}
    return document


def _unremarkable() -> JsonObject:
    """What every document about a repository has and nothing here ever changes."""
    return {
        "homepage": None,
        "size": 0,
        "stargazers_count": 0,
        "watchers_count": 0,
        "watchers": 0,
        "language": "Python",
        "has_issues": True,
        "has_projects": False,
        "has_downloads": False,
        "has_wiki": False,
        "has_pages": False,
        "has_discussions": False,
        "forks_count": 0,
        "forks": 0,
        "mirror_url": None,
        "disabled": False,
        "license": None,
        "allow_forking": True,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
    }


def repository_in_installation(repo: Repository) -> JsonObject:
    """The short form that installation events list."""
    return {
        "id": repo.repository_id,
        "node_id": node_id("R", repo.repository_id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
    }


def app(hub: HubState) -> JsonObject:
    """An `integration`."""
    known = hub.app
    return {
        "id": known.app_id,
        "client_id": known.client_id,
        "slug": known.slug,
        "node_id": node_id("A", known.app_id),
        "owner": user(hub, known.owner),
        "name": known.name,
        "description": None,
        "external_url": hub.base_url,
        "html_url": f"{hub.base_url}/apps/{known.slug}",
        "created_at": timestamp(known.created_at),
        "updated_at": timestamp(known.created_at),
        "permissions": dict(known.permissions),
        "events": list(known.events),
        "installations_count": len(hub.installations),
    }


def installation(hub: HubState, installed: Installation) -> JsonObject:
    """An `installation`."""
    number = installed.installation_id
    api = f"{hub.base_url}/app/installations/{number}"
    return {
        "id": number,
        "account": user(hub, installed.account),
        "repository_selection": "selected",
        "access_tokens_url": f"{api}/access_tokens",
        "repositories_url": f"{hub.base_url}/installation/repositories",
        "html_url": f"{hub.base_url}/settings/installations/{number}",
        "app_id": hub.app.app_id,
        "client_id": hub.app.client_id,
        "app_slug": hub.app.slug,
        "target_id": installed.account.user_id,
        "target_type": "User",
        "permissions": dict(installed.permissions),
        "events": list(hub.app.events),
        "created_at": timestamp(installed.created_at),
        "updated_at": timestamp(installed.updated_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": user_or_none(hub, installed.suspended_by),
        "suspended_at": timestamp_or_none(installed.suspended_at),
    }


def delivery(attempt: Delivery) -> JsonObject:
    """A `hook-delivery-item`."""
    return {
        "id": attempt.delivery_id,
        "guid": attempt.guid,
        "delivered_at": timestamp_or_none(attempt.delivered_at),
        "redelivery": attempt.redelivery,
        "duration": round(attempt.duration_s, 2),
        "status": attempt.status,
        "status_code": attempt.status_code,
        "event": attempt.event,
        "action": attempt.action,
        "installation_id": attempt.installation_id,
        "repository_id": attempt.repository_id,
        "throttled_at": None,
    }


def git_user(person_name: str, email: str, date: str) -> JsonObject:
    """Author or committer inside a commit."""
    return {"name": person_name, "email": email, "date": date}


def commit(hub: HubState, repo: Repository, found: Commit) -> JsonObject:
    """A `commit`."""
    url, html_url = repository_url(hub, repo), repository_html_url(hub, repo)
    parents: list[JsonObject] = [
        {"sha": sha, "url": f"{url}/commits/{sha}", "html_url": f"{html_url}/commit/{sha}"}
        for sha in found.parents
    ]
    return {
        "sha": found.sha,
        "node_id": node_id("C", repo.repository_id) + found.sha,
        "url": f"{url}/commits/{found.sha}",
        "html_url": f"{html_url}/commit/{found.sha}",
        "comments_url": f"{url}/commits/{found.sha}/comments",
        "commit": {
            "url": f"{url}/git/commits/{found.sha}",
            "author": git_user(found.author.name, found.author.email, timestamp(found.author.date)),
            "committer": git_user(
                found.committer.name, found.committer.email, timestamp(found.committer.date)
            ),
            "message": found.message,
            "tree": {"sha": found.tree, "url": f"{url}/git/trees/{found.tree}"},
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        },
        "author": user_or_none(hub, _account(hub, found.author.email)),
        "committer": user_or_none(hub, _account(hub, found.committer.email)),
        "parents": list(parents),
    }


def _account(hub: HubState, email: str) -> User | None:
    return next((account for account in list(hub.users.values()) if account.email == email), None)


def branch(hub: HubState, repo: Repository, name: str, head: Commit) -> JsonObject:
    """A `branch-with-protection`; no branch here is protected."""
    url = f"{repository_url(hub, repo)}/branches/{name}"
    return {
        "name": name,
        "commit": commit(hub, repo, head),
        "_links": {"self": url, "html": f"{repository_html_url(hub, repo)}/tree/{name}"},
        "protected": False,
        "protection": {
            "enabled": False,
            "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
        },
        "protection_url": f"{url}/protection",
    }


def permission(hub: HubState, account: User, role: Role) -> JsonObject:
    """A `repository-collaborator-permission`."""
    person = user(hub, account)
    person["role_name"] = role.role_name
    person["permissions"] = {
        "pull": role >= Role.READ,
        "triage": role >= Role.TRIAGE,
        "push": role >= Role.WRITE,
        "maintain": role >= Role.MAINTAIN,
        "admin": role >= Role.ADMIN,
    }
    return {"permission": role.permission, "role_name": role.role_name, "user": person}
