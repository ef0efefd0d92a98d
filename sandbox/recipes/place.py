"""Where in a box the test report is written."""

REPORT = "/tmp/evoscale/report.xml"  # noqa: S108  # in the box
