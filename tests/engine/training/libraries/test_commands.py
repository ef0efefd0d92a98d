"""The commands themselves, as a person types them."""

from typer.testing import CliRunner

from bot.cli import app


def test_a_plan_names_parameters_cards_and_what_they_are_computed_for():
    said = CliRunner().invoke(app, ["train", "large", "plan", "--config", "qwen2.5-coder-32b"])
    assert said.exit_code == 0
    assert "32,763,876,352 parameters" in said.output
    assert "cards of 80 GiB" in said.output


def test_how_to_get_the_data_is_said_before_anything_is_needed():
    said = CliRunner().invoke(app, ["train", "large", "data", "--how"])
    assert "hf download SWE-Gym/SWE-Gym" in said.output


def test_data_without_a_source_says_what_to_name():
    said = CliRunner().invoke(app, ["train", "large", "data"])
    assert "--instances and --clones" in str(said.exception)
