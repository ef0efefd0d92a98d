"""`python -m bot.cli`, the same as `evoscale`."""

from bot.cli import main

main()
