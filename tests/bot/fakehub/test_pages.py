"""Pages show what happened and run nothing of it."""

from html.parser import HTMLParser

import pytest

from tests.bot.fakehub.conftest import Place

HOSTILE = """\
<script>alert(1)</script> <img src=x onerror=alert(1)> [click](javascript:alert(1)) ![x](http://127.0.0.1/x.png)

```python
>>> add(1, 2)
-1
```

| a | b |
|---|---|
| 1 | 2 |
"""


class Tags(HTMLParser):
    """Collects every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    @property
    def names(self) -> set[str]:
        return {tag for tag, _ in self.found}


def page(place: Place, path: str) -> str:
    answer = place.app.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return answer.text


def test_an_issue_is_shown_and_its_markdown_cannot_bite(place: Place) -> None:
    number = place.driver.open_issue(
        place.repository, "<b>bold</b>", HOSTILE, as_user=place.owner, labels=["<i>evil</i>"]
    )
    place.driver.comment(place.repository, number, HOSTILE, as_user=place.visitor)
    html = page(place, f"/{place.repository}/issues/{number}")
    tags = Tags(html)
    assert not tags.names & {"script", "img", "i"}
    assert {"pre", "code", "table"} <= tags.names
    assert not any("onerror" in attributes for _, attributes in tags.found)
    assert not any(
        (attributes.get("href") or "").startswith("javascript") for _, attributes in tags.found
    )
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert html.count("&lt;script&gt;") == 2


def test_folds_comments_and_addresses_are_as_on_github(place: Place) -> None:
    body = (
        "<!-- hidden=1 -->\nFixes\n\n<details><summary>More</summary>\n\n```\nx\n```\n\n"
        '</details>\n\n<details onclick="x">\n\nsee <sub>it</sub> http://127.0.0.1/a?b=1&c="x.'
    )
    number = place.driver.open_issue(place.repository, "t", body, as_user=place.owner)
    html = page(place, f"/{place.repository}/issues/{number}")
    assert "hidden=1" not in html
    assert "<details><summary>More</summary>" in html
    assert "&lt;details onclick" in html
    assert "<sub>it</sub>" in html
    assert '<a href="http://127.0.0.1/a?b=1&amp;c=' in html
    assert not any("onclick" in attributes for _, attributes in Tags(html).found)


def test_a_pull_request_is_shown_with_its_diff(place: Place) -> None:
    files = {"calc/__init__.py": "def add(a, b):\n    return a + b  # <b>\n"}
    place.driver.push(
        place.repository, "fix", files, as_user=place.owner, start="main", message="Fix add"
    )
    new = {"title": "Fix add", "head": "fix", "base": "main", "draft": True, "body": "Fixes #1"}
    number = place.app.as_installation(place.token, "POST", f"{place.api}/pulls", json=new).json()[
        "number"
    ]
    place.driver.review(place.repository, number, "REQUEST_CHANGES", "not yet", as_user=place.owner)
    place.driver.review_comment(
        place.repository, number, "calc/__init__.py", 2, "why?", as_user=place.owner
    )
    html = page(place, f"/{place.repository}/pull/{number}")
    assert '<tr class="added"><td>+    return a + b  # &lt;b&gt;</td></tr>' in html
    assert '<tr class="removed"><td>-    return a - b</td></tr>' in html
    for text in (
        "Draft",
        "Fix add",
        "requested changes",
        "why?",
        "calc/__init__.py, line 2",
        "bot",
    ):
        assert text in html
    diff = place.app.client.get(f"/{place.repository}/pull/{number}.diff").text
    assert diff == place.driver.diff(place.repository, number)


def test_a_repository_is_shown_with_its_files(place: Place) -> None:
    place.driver.open_issue(place.repository, "add is wrong", as_user=place.visitor)
    html = page(place, f"/{place.repository}")
    assert "<h1>Calc</h1>" in html
    assert "add is wrong" in html
    assert "return a - b" in page(place, f"/{place.repository}/blob/main/calc/__init__.py")
    assert place.repository in page(place, "/")


def test_an_empty_repository_is_shown(place: Place) -> None:
    place.driver.create_repository(place.owner, "empty", {})
    assert "This repository is empty." in page(place, f"/{place.owner}/empty")


@pytest.mark.parametrize(
    "path",
    ["/issues/9", "/pull/9", "/blob/main/nothing", "/blob/-h/x", "/blob/main/../../etc/passwd"],
)
def test_what_is_not_there_has_no_page(place: Place, path: str) -> None:
    assert place.app.client.get(f"/{place.repository}{path}").status_code == 404


def test_an_issue_has_no_page_as_a_pull_request(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.owner)
    assert place.app.client.get(f"/{place.repository}/pull/{number}").status_code == 404


def test_a_private_repository_has_no_page(place: Place) -> None:
    place.driver.make_private(place.repository)
    assert place.app.client.get(f"/{place.repository}").status_code == 404
    assert place.repository not in page(place, "/")
