"""Attacks on what a box may use: bombs, fillers, floods, and what will not end."""

from dataclasses import replace

from sandbox.conformance.hostile.attack import LIMITS, Attack, honest, lying
from sandbox.settings import MIB

SHORT = replace(LIMITS, wall_clock_s=2.5, memory_bytes=256 * MIB, pids=64)
NO_SPACE = "No space left|more files than its limit|ran out of memory|no test report"
OUT_OF_TIME = "ran out of time"
WRITABLE = ("/repo", "/tmp", "/dev/shm")  # noqa: S108  # in the box

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
        for place in WRITABLE
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
        for place in WRITABLE[:2]
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
