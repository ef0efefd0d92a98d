"""What code leaves for others: a report for the host, and state for the next candidate."""

from sandbox.conformance.hostile.attack import Attack, honest, lying


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
        "a hard link for a report": (
            "open('/tmp/x', 'w').write('<testsuite/>'); os.link('/tmp/x', report)"
        ),
        "a FIFO for a report": "os.mkfifo(report)",
        "a socket for a report": "import socket; socket.socket(socket.AF_UNIX).bind(report)",
        "a directory for a report": "os.mkdir(report)",
        "a sparse terabyte for a report": "open(report, 'wb').truncate(2**30)",
        "a huge report": "open(report, 'wb').write(b'<' * (33 * 2**20))",
        "a report of nested entities": (
            "open(report, 'w').write("
            '\'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>\')'
        ),
        "a report that reads a file": (
            "open(report, 'w').write('<!DOCTYPE a [<!ENTITY a SYSTEM \"/etc/passwd\">]><a>&a;</a>')"
        ),
        "a report of nothing but depth": "open(report, 'w').write('<a>' * 10**6)",
        "a link in the place of the report's directory": (
            "os.rename(place, place + '2') if os.listdir(place) else os.rmdir(place); "
            "os.symlink('/etc', place)"
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
            shared = ('/tmp', '/dev/shm', '/repo', '/var/tmp', '/run', '/opt/env', '/opt/project')
            for place in shared:
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
                        with open(os.path.join(place, name), 'w') as file:
                            file.write('import os; os.mkdir("/tmp/left")')
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
