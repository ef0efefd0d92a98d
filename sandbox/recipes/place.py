"""Where in a box the test report is written, and in an image what its recipe could not get."""

NOTES = "/opt/env/notes"
PROJECT_NOTES = "/opt/project/notes"
"""For languages whose programs are in `/opt/env`: there the notes would hide them."""
REPORT = "/tmp/evoscale/report.xml"  # noqa: S108  # in the box
