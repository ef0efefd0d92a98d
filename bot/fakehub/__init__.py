"""A GitHub on your own machine: REST, git over HTTP, signed webhooks, and faults on demand.

Nothing here imitates git: every repository is a real bare one, and every commit in it is real.
What is imitated is the part of GitHub's REST API that this project calls, and `tests/openapi`
holds that part against GitHub's own description.

Start at `bot.fakehub.server.FakehubServer` (a server in a thread) or `python -m bot.fakehub` (a
server in a process), and act as a person would through `bot.fakehub.driver.FakehubDriver`.
"""
