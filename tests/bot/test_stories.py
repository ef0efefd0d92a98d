"""Whole stories over fakehub: a webhook comes in, a pull request goes out."""

from tests.bot.stage import Stage


def test_a_label_becomes_a_pull_request(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    [pull] = stage.driver.pulls(stage.repository)
    assert pull["draft"] is True
    assert f"Fixes #{number}" in str(pull["body"])
    assert stage.latest(number).url == pull["html_url"]
    assert str(pull["html_url"]) in stage.status(number)
    assert "+    return a + b" in stage.driver.diff(stage.repository, int(str(pull["number"])))
