"""Everything we ask of GitHub, as verbs; the only importer of githubkit."""

from bot.github.app import App, Identity
from bot.github.calls import LIMITED_S
from bot.github.installation import Feedback, Installation, NewPull

__all__ = ["LIMITED_S", "App", "Feedback", "Identity", "Installation", "NewPull"]
