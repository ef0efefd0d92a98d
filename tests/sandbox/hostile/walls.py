"""Attacks on the box: what it may use, what it can reach, and what it leaves."""

from dataclasses import dataclass, replace

from sandbox.settings import MIB
from tests.sandbox.conftest import LIMITS
from tests.sandbox.hostile.attack import BUGGY, Attack, honest, lying

SHORT = replace(LIMITS, wall_clock_s=2.5, memory_bytes=256 * MIB, pids=64)
NO_SPACE = "No space left|more files than its limit|ran out of memory|no test report"
OUT_OF_TIME = "ran out of time"

USES_UP = (
    Attack(
        "fork bomb",
        lying("""
            import os, time
            while True:
                try:
                    os.fork()
                except OSError:
                    time.sleep(0.05)
        """),
        said=OUT_OF_TIME,
        limits=SHORT,
        harms=True,
    ),
    Attack(
        "fork bomb of the shell",
        lying('import subprocess\nsubprocess.run(["sh", "-c", "f() { f | f & }; f; sleep 99"])'),
        said=OUT_OF_TIME,
        limits=SHORT,
        harms=True,
    ),
    Attack(
        "memory bomb",
        lying("kept = [bytearray(b'x' * 2**20) for _ in range(4000)]"),
        said="ran out of memory|no test report|MemoryError",
        limits=replace(SHORT, wall_clock_s=20.0),
        harms=True,
    ),
    Attack(
        "memory bomb of many processes",
        lying("""
            import os, time
            for _ in range(40):
                if os.fork() == 0:
                    kept = bytearray(b'x') * (60 * 2**20)
                    time.sleep(60)
            time.sleep(60)
        """),
        said="ran out of memory|ran out of time",
        limits=SHORT,
        harms=True,
    ),
    *(
        Attack(
            f"filler of {place}",
            lying(f"""
                with open("{place}/filler", "wb", buffering=0) as file:
                    while True:
                        file.write(bytes(2**20))
            """),
            said=NO_SPACE,
            limits=replace(SHORT, wall_clock_s=20.0),
            harms=True,
        )
        for place in ("/repo", "/tmp", "/dev/shm")
    ),
    *(
        Attack(
            f"filler of directory entries in {place}",
            lying(f"""
                import os
                os.mkdir("{place}/many")
                for number in range(10**7):
                    os.close(os.open(f"{place}/many/{{number}}", os.O_CREAT | os.O_WRONLY))
            """),
            said=NO_SPACE,
            limits=replace(SHORT, wall_clock_s=40.0),
            harms=True,
        )
        for place in ("/repo", "/tmp")
    ),
    Attack(
        "ten gigabytes on the box's own output",
        honest("""
            import os, stat
            for number in range(3, 64):
                try:
                    is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
                    is_pipe and [os.write(number, bytes(2**20)) for _ in range(10 * 1024)]
                except OSError:
                    pass
        """),
        said=f"{OUT_OF_TIME}|^",
        limits=SHORT,
        harms=True,
    ),
    Attack(
        "ten gigabytes into the test runner's hands",
        lying("import os\nwhile True: os.write(1, bytes(2**20))"),
        said=NO_SPACE,
        limits=replace(SHORT, wall_clock_s=20.0),
        harms=True,
    ),
    Attack(
        "deaf to every signal",
        lying("""
            import signal
            for number in range(1, 32):
                if number not in (signal.SIGKILL, signal.SIGSTOP):
                    signal.signal(number, signal.SIG_IGN)
            while True: pass
        """),
        said=OUT_OF_TIME,
        limits=SHORT,
        harms=True,
    ),
    Attack(
        "daemons that outlive their tests",
        honest("""
            import os, signal, time
            for _ in range(5):
                if os.fork() == 0:
                    os.setsid()
                    if os.fork():
                        getattr(os, "_ex" "it")(0)
                    for number in (1, 2, 15):
                        signal.signal(number, signal.SIG_IGN)
                    for number in range(64):
                        try: os.close(number)
                        except OSError: pass
                    time.sleep(1000)
        """),
        fix=True,
        harms=True,
    ),
    Attack(
        "a line that stands still",
        lying("import os, signal\nos.kill(0, signal.SIGSTOP)"),
        said=f"{OUT_OF_TIME}|no test report",
        limits=SHORT,
        harms=True,
    ),
    Attack(
        "signals for process 1",
        honest("""
            import os
            for number in range(1, 65):
                try: os.kill(1, number)
                except OSError: pass
        """),
        fix=True,
        harms=True,
    ),
    Attack(
        "an answer forged on the line to the host",
        honest("""
            import os
            for number in range(64):
                try:
                    line = os.open(f"/proc/1/fd/{number}", os.O_WRONLY)
                except OSError:
                    continue
                try:
                    os.write(line, b'{"size": 0, "exit_code": 0}\\n')
                except OSError:
                    continue
                raise RuntimeError("got through")
        """),
        fix=True,
    ),
)


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
        "\nif not any(n.startswith(('sd', 'vd', 'nvme', 'loop')) for n in os.listdir('/dev')): raise OSError",
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
    Goal("a socket of the machine's without a file", _connects("AF_UNIX", "'\\0neighbour'")),
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


def _leaves(plant: str) -> str:
    """Code that leaves something in the report's place and ends the run before anyone writes it."""
    return lying(f"""
import os
place = "/tmp/evo" + "scale"
report = place + "/report.xml"
os.makedirs(place, exist_ok=True)
{plant}
getattr(os, "_ex" + "it")(0)
""")


WAY_OUT = tuple(
    Attack(name, _leaves(plant), said="no test report was written|test report cannot be read")
    for name, plant in {
        "a symbolic link for a report": "os.symlink('/etc/passwd', report)",
        "a hard link for a report": "open('/tmp/x', 'w').write('<testsuite/>'); os.link('/tmp/x', report)",
        "a FIFO for a report": "os.mkfifo(report)",
        "a socket for a report": "import socket; socket.socket(socket.AF_UNIX).bind(report)",
        "a directory for a report": "os.mkdir(report)",
        "a sparse terabyte for a report": "open(report, 'wb').truncate(2**30)",
        "a huge report": "open(report, 'wb').write(b'<' * (33 * 2**20))",
        "a report of nested entities": (
            "open(report, 'w').write('<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><a>&b;</a>')"
        ),
        "a report that reads a file": (
            "open(report, 'w').write('<!DOCTYPE a [<!ENTITY a SYSTEM \"/etc/passwd\">]><a>&a;</a>')"
        ),
        "a report of nothing but depth": "open(report, 'w').write('<a>' * 10**6)",
        "a link in the place of the report's directory": (
            "os.rmdir(place) if not os.listdir(place) else os.rename(place, place + '2'); os.symlink('/etc', place)"
        ),
    }.items()
)

STATE = tuple(
    Attack(name, honest(code), policy=policy, fix=fix, said=said, harms=True)
    for name, code, policy, fix, said in (
        (
            "a change that git is told to overlook",
            """
            import subprocess
            open('tests/data.txt', 'w').write('left by a neighbour')
            subprocess.run(['git', 'update-index', '--skip-worktree', 'calc/__init__.py'])
            """,
            None, True, "",
        ),
        (
            "a repository inside the repository",
            """
            import os
            os.makedirs('nested/.git', exist_ok=True)
            open('nested/left', 'w').write('left by a neighbour')
            """,
            None, True, "",
        ),
        (
            "a hook of git's",
            """
            import os
            os.makedirs('.git/hooks', exist_ok=True)
            open('.git/hooks/post-checkout', 'w').write('#!/bin/sh\\ntouch /tmp/left\\n')
            os.chmod('.git/hooks/post-checkout', 0o755)
            """,
            None, True, "",
        ),
        (
            "a program that git runs by itself",
            """
            import os
            os.makedirs('.git', exist_ok=True)
            open('.git/config', 'a').write('[core]\\n\\tfsmonitor = touch /tmp/left\\n')
            """,
            None, True, "",
        ),
        (
            "files at home",
            """
            import os
            home = os.path.expanduser('~')
            open(home + '/.gitconfig', 'w').write('[core]\\n\\tfsmonitor = touch /tmp/left\\n')
            open(home + '/.bashrc', 'w').write('touch /tmp/left\\n')
            os.makedirs(home + '/.local/lib/python3/site-packages', exist_ok=True)
            """,
            None, True, "",
        ),
        (
            "files in shared places",
            """
            for place in ('/tmp', '/dev/shm', '/repo', '/var/tmp', '/run', '/opt/env', '/opt/project'):
                try: open(place + '/left', 'w').write('left by a neighbour')
                except OSError: pass
            """,
            None, True, "",
        ),
        (
            "a process that edits the source again and again",
            """
            import os, time
            if os.fork() == 0:
                os.setsid()
                while True:
                    time.sleep(0.01)
                    open('/repo/calc/left.py', 'w').write('left by a neighbour')
            """,
            None, True, "",
        ),
        (
            "shared memory and semaphores",
            """
            from multiprocessing import shared_memory, resource_tracker
            block = shared_memory.SharedMemory('left', create=True, size=64)
            resource_tracker.unregister(block._name, 'shared_memory')
            """,
            None, True, "",
        ),
        (
            "start-up files of the interpreter",
            """
            import os, site
            for place in [*site.getsitepackages(), site.getusersitepackages(), '/repo']:
                for name in ('left.pth', 'sitecustomize.py'):
                    try:
                        os.makedirs(place, exist_ok=True)
                        open(os.path.join(place, name), 'w').write('import os; os.mkdir("/tmp/left")')
                    except OSError: pass
            """,
            None, False, "was changed, which they trust",
        ),
        (
            "compiled files that stand in for tests",
            """
            import os
            os.makedirs('/repo/tests/__pycache__', exist_ok=True)
            open('/repo/tests/__pycache__/test_calc.cpython-311.pyc', 'w').write('left')
            """,
            None, False, "was changed, which they trust",
        ),
    )
)  # fmt: skip
