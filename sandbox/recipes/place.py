"""Where in a box the test report is written, and in an image what its recipe could not get."""

NOTES = "/opt/env/notes"
REPORT = "/tmp/evoscale/report.xml"  # noqa: S108  # in the box
