"""What a back end does not hold, or nobody can confirm, in words: the table of docs/security.md.

A check alone does not tell: on a machine with one processor four busy processes use no more than
one, whether anything limits them or not.
"""

from collections.abc import Mapping

from sandbox.cgroups import PIDS_PER_NAMESPACE, kernel_version
from sandbox.contract import Sandbox

GVISOR: Mapping[str, str] = {
    "cpus": "the share of the processors cannot be confirmed from inside",
    "files": "the number of files is limited by memory only, and the box ends with it",
    "host": "process 1 of a box can be killed from inside, and the box ends with it",
}
"""By the words of `EVOSCALE_SANDBOX_REQUIRE`."""
NO_CPUS = "processors are not limited without control groups"
NO_PIDS = "processes are not limited without control groups before Linux {}.{}"


def lacks(sandbox: Sandbox) -> Mapping[str, str]:
    """The promises that this back end does not keep on this machine, and what is so instead.

    What is at least watched is not among them: see `Sandbox.watched`.
    """
    if "runsc" in sandbox.isolation:
        return GVISOR
    if sandbox.isolation.startswith("bubblewrap") and "memory" in sandbox.watched:
        return without_control_groups(kernel_version())
    return {}


def without_control_groups(kernel: tuple[int, int]) -> Mapping[str, str]:
    """What bubblewrap lacks on such a kernel where no control group can be made."""
    if kernel >= PIDS_PER_NAMESPACE:
        return {"cpus": NO_CPUS}
    return {"cpus": NO_CPUS, "pids": NO_PIDS.format(*PIDS_PER_NAMESPACE)}
