"""What code in a box tries to reach: the network, the machine, other boxes."""

import os
from dataclasses import dataclass

from sandbox.conformance.hostile.attack import BUGGY, Attack

LISTENING = f"\0neighbour-{os.getpid()}"
"""A socket of the machine's that has no file; each process checks with one of its own."""


@dataclass(frozen=True)
class Goal:
    """Something outside that no box may reach: Python that must end in an OSError."""

    name: str
    code: str


def _connects(family: str, address: str, kind: str = "SOCK_STREAM") -> str:
    return (
        f"s = socket.socket(socket.{family}, socket.{kind}); s.settimeout(1); s.connect({address})"
    )


def _reads(path: str) -> str:
    return f"open({path!r}, 'rb').read(1)"


def _writes(path: str) -> str:
    return f"open({path!r}, 'w')"


def _succeeds(call: str) -> str:
    return f"\nif c.CDLL(None).{call} == -1: raise OSError"


NETWORK = (
    Goal("the internet", _connects("AF_INET", "('1.1.1.1', 53)")),
    Goal("the metadata service", _connects("AF_INET", "('169.254.169.254', 80)")),
    Goal("the engine's bridge", _connects("AF_INET", "('172.17.0.1', 2375)")),
    Goal("the internet by IPv6", _connects("AF_INET6", "('2606:4700:4700::1111', 53)")),
    Goal("a name server by datagram", _connects("AF_INET", "('8.8.8.8', 53)", "SOCK_DGRAM")),
    Goal("a name", "socket.getaddrinfo('example.org', 80)"),
    Goal("the hypervisor by vsock", _connects("AF_VSOCK", "(2, 1024)")),
    Goal("raw frames", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    Goal("raw packets", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    Goal("the kernel's ciphers", "socket.socket(38, socket.SOCK_SEQPACKET)"),
)
HOST = (
    Goal("the machine's passwords", _reads("/etc/shadow")),
    Goal("process 1's environment", _reads("/proc/1/environ")),
    Goal("process 1's memory", _reads("/proc/1/mem")),
    Goal("process 1's root", "os.listdir('/proc/1/root/')"),
    Goal("the engine's socket", _connects("AF_UNIX", "'/var/run/docker.sock'")),
    Goal("the engine's socket at its other place", _connects("AF_UNIX", "'/run/docker.sock'")),
    Goal("containerd's socket", _connects("AF_UNIX", "'/run/containerd/containerd.sock'")),
    Goal(
        "the machine's disks",
        "\ndisks = [n for n in os.listdir('/dev') if n.startswith(('sd', 'vd', 'nvme', 'loop'))]"
        "\nif not disks: raise OSError",
    ),
    Goal("core_pattern", _writes("/proc/sys/kernel/core_pattern")),
    Goal("sysrq", _writes("/proc/sysrq-trigger")),
    Goal("uevent_helper", _writes("/sys/kernel/uevent_helper")),
    Goal("release_agent", _writes("/sys/fs/cgroup/memory/release_agent")),
    Goal("a mount", _succeeds("mount(b'/', b'/tmp', None, 4096, None)")),
    Goal("a user namespace", _succeeds("unshare(0x10000000)")),
    Goal("a debugger on process 1", _succeeds("ptrace(16, 1, 0, 0)")),
    Goal("io_uring", _succeeds("syscall(425, 8, 0)")),
    Goal("a keyring", _succeeds("syscall(250, 0, -3, 1)")),
    Goal("the interpreter itself", _writes("/opt/env/bin/evil")),
    Goal("the image's copy of the repository", _writes("/opt/repo/calc/__init__.py")),
    Goal("a device", "os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))"),
    Goal("another user", "os.setuid(0)"),
    Goal(
        "a neighbour's file",
        """
patterns = ('/proc/[0-9]*/root/tmp', '/proc/[0-9]*/cwd', '/tmp', '/dev/shm', '/repo')
places = [place for pattern in patterns for place in glob.glob(pattern)]
if not any(os.path.exists(place + '/neighbours-secret') for place in places): raise OSError""",
    ),
    Goal(
        "a neighbour's process",
        "\nif not any(p.isdigit() and int(p) > 100 for p in os.listdir('/proc')): raise OSError",
    ),
    Goal("a socket of the machine's without a file", _connects("AF_UNIX", repr(LISTENING))),
)
OUTSIDE = (*NETWORK, *HOST)
REACHES = Attack(
    "everything outside",
    f"""\
import ctypes as c, glob, os, socket

GOALS = {[(goal.name, goal.code) for goal in OUTSIDE]!r}
reached = []
for name, code in GOALS:
    try:
        exec(code)
    except OSError:
        continue
    reached.append(name)
raise RuntimeError(f"tried {{len(GOALS)}}, reached: {{reached}}")


{BUGGY}""",
    policy="'ctypes'",
    said=f"tried {len(OUTSIDE)}, reached: ",
)
"""All of them in one box."""
