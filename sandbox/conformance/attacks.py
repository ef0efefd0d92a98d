"""The programs that conformance checks run in a box; each bounds by itself what it uses up."""

IDENTITY = """
import os
fields = dict(l.split(":", 1) for l in open("/proc/self/status"))
keys = ["CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"]
print(os.getuid(), os.getgid(), *(fields.get(k, "-").strip().lstrip("0") or "0" for k in keys))
"""
INTERFACES = 'print(*(l.split(":")[0].strip() for l in open("/proc/net/dev") if ":" in l))'
CONNECTIONS = """
import socket
for family, address in ((2, ("1.1.1.1", 53)), (2, ("169.254.169.254", 80)),
                        (2, ("172.17.0.1", 2375)), (10, ("2606:4700:4700::1111", 53))):
    s = socket.socket(family)
    s.settimeout(2)
    try:
        s.connect(address)
        print("reached", address)
    except OSError:
        pass
try:
    print("resolved", socket.gethostbyname("example.org"))
except OSError:
    pass
"""
WRITES = """
import os
for place in ("/", "/usr/bin", "/etc", "/opt", "/opt/env/bin", "/opt/repo", "/dev", "/sys",
              "/proc/sys/kernel"):
    try:
        os.close(os.open(place + "/evoscale-was-here", os.O_CREAT | os.O_WRONLY))
        print("wrote below", place)
    except OSError:
        pass
for knob in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches"):
    try:
        os.close(os.open(knob, os.O_WRONLY))
        print("opened", knob)
    except OSError:
        pass
"""
CALLS = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
for word in sys.argv[1:]:
    name, number = word.split("=")
    ctypes.set_errno(0)
    if libc.syscall(int(number), 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in (1, 38):
        print(name, "is let through")
for flag in (0x10000000, 0x40000000, 0x20000000, 0x00020000):
    if os.fork() == 0:
        os._exit(0 if libc.unshare(flag) == 0 else 1)
    if os.waitstatus_to_exitcode(os.wait()[1]) == 0:
        print("unshare", hex(flag), "is let through")
for family in (40, 38, 17):
    try:
        socket.socket(family, socket.SOCK_DGRAM)
        print("socket family", family, "is let through")
    except OSError:
        pass
"""
WARDEN = """
import os
for name in ("environ", "mem", "fd", "maps", "cwd"):
    try:
        path = "/proc/1/" + name
        os.listdir(path) if name in ("fd", "cwd") else open(path, "rb").read(1)
        print("can read", path)
    except OSError:
        pass
for number in (9, 15, 19):
    try:
        os.kill(1, number)
    except OSError:
        pass
print("done")
"""
DAEMON = """
import os, signal, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        for number in (1, 2, 15):
            signal.signal(number, signal.SIG_IGN)
        if os.fork():
            os._exit(0)
        while True:
            time.sleep(1)
if sys.argv[1] == "stay":
    while True:
        time.sleep(1)
"""
PROCESSES = """
import os
numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())
print(*sorted(number for number in numbers if number not in (1, os.getpid())))
"""
FORKS = """
import os, time
made = 0
for _ in range(200):
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    except OSError:
        break
    made += 1
print("made", made, flush=True)
"""
THREAD = """
import threading
thread = threading.Thread(target=print, args=("thread",))
thread.start()
thread.join()
"""
ORPHANS = """
import os, time
def made():
    try:
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        try:
            os.fork()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for _ in range(150):
    for _ in range(100):
        if made():
            break
        time.sleep(0.05)
    else:
        raise SystemExit("they pile up")
print("made all")
"""
ALLOCATE = """
import sys
kept = [bytearray(b"x" * 2**20) for _ in range(int(sys.argv[1]))]
print("had", len(kept))
"""
FILL = """
import sys
place, most = sys.argv[1], int(sys.argv[2])
done = 0
try:
    with open(place + "/filler", "wb", buffering=0) as file:
        while done < most * 2**20:
            done += file.write(bytes(2**20))
    print("wrote", done)
except OSError:
    print("full")
"""
MANY_FILES = """
import errno, os, sys
place = sys.argv[1] + "/many"
os.mkdir(place)
try:
    for number in range(int(sys.argv[2])):
        os.close(os.open(f"{place}/{number}", os.O_CREAT | os.O_WRONLY))
    print("made", number)
except OSError as error:
    print("full" if error.errno == errno.ENOSPC else error)
"""
SPIN = """
import os, time
began = time.monotonic()
children = [os.fork() for _ in range(4)]
if 0 in children:
    while time.monotonic() - began < 2:
        pass
    os._exit(0)
for _ in children:
    os.wait()
print(sum(os.times()[:4]))
"""
SPECIAL = """
import os
os.symlink("/etc/passwd", "/repo/link")
os.mkfifo("/repo/fifo")
open("/repo/one", "w").write("x")
os.link("/repo/one", "/repo/two")
os.mkdir("/repo/directory")
os.symlink("/etc", "/repo/etc")
os.symlink("/tmp/target", "/repo/planted")
with open("/repo/sparse", "wb") as file:
    file.truncate(2**30)
"""
HIDDEN = """
import os
print(*(k for k in os.environ if k.startswith(("EVOSCALE", "SSH", "USER", "LOGNAME"))))
for place in ("/root", "/home", "/var/run/docker.sock", "/mnt", "/srv"):
    if os.path.isdir(place) and os.access(place, os.R_OK) and os.listdir(place):
        print("sees", place)
    elif os.path.exists(place) and not os.path.isdir(place):
        print("sees", place)
"""
LEAVE = "for p in ('/repo', '/tmp', '/dev/shm'): open(p + '/left', 'w').write('x')"
LOOK = """
import os
print(*(p for p in ("/repo", "/tmp", "/dev/shm") if os.path.exists(p + "/left")))
"""
FLOOD = "print('begin'); [print('x' * 1023) for _ in range(1024)]; print('end')"
COUNT = "import sys; print(len(sys.stdin.buffer.read()))"
REMOVE = "import os, sys; os.unlink(sys.argv[1] + '/filler')"
