"""System calls that code in a box may make: one policy, as Docker's JSON and as a BPF program.

Docker takes a list of what is allowed. bubblewrap takes a filter program; ours refuses what is
known to be dangerous and everything newer than the calls known here, so the two agree. Both shut
io_uring, AF_VSOCK (which reaches the hypervisor's host), kernel keyrings, tracing, new namespaces
and mounts, all of which an unprivileged process may otherwise use.
"""

import json
import platform
import struct

from sandbox.errors import SandboxUnavailableError

ALLOWED = """
    accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
    clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat
    dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
    epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
    faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl
    fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync
    ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_mempolicy
    get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid
    getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
    getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday
    getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
    io_destroy io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set kill
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link
    linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise
    map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat
    mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall
    munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe
    pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64
    pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom
    recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall
    rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
    rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
    set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups
    setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid
    setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd
    signalfd4 splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo
    tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink
    unlinkat utime utimensat utimes vfork wait4 waitid write writev
"""
"""Calls Docker lets through without looking at their arguments, by name."""

DENIED = """
    _sysctl 156 -; acct 163 89; add_key 248 217; adjtimex 159 171; afs_syscall 183 -; bpf 321
    280; chroot 161 51; clock_adjtime 305 266; clock_settime 227 112; create_module 174 -;
    delete_module 176 106; fanotify_init 300 262; fanotify_mark 301 263; finit_module 313 273;
    fsconfig 431 431; fsmount 432 432; fsopen 430 430; fspick 433 433; get_kernel_syms 177 -;
    getpmsg 181 -; init_module 175 105; io_uring_enter 426 426; io_uring_register 427 427;
    io_uring_setup 425 425; ioperm 173 -; iopl 172 -; kcmp 312 272; kexec_file_load 320 294;
    kexec_load 246 104; keyctl 250 219; lookup_dcookie 212 18; mbind 237 235; migrate_pages
    256 238; modify_ldt 154 -; mount 165 40; mount_setattr 442 442; move_mount 429 429;
    move_pages 279 239; name_to_handle_at 303 -; nfsservctl 180 42; open_by_handle_at 304 -;
    open_tree 428 428; perf_event_open 298 241; personality 135 92; pidfd_getfd 438 438;
    pivot_root 155 41; process_madvise 440 440; process_mrelease 448 448; process_vm_readv 310
    270; process_vm_writev 311 271; ptrace 101 117; putpmsg 182 -; query_module 178 -;
    quotactl 179 60; quotactl_fd 443 443; reboot 169 142; request_key 249 218; security 185 -;
    set_mempolicy 238 237; set_mempolicy_home_node 450 450; setdomainname 171 162; sethostname
    170 161; setns 308 268; settimeofday 164 170; swapoff 168 225; swapon 167 224; sysfs 139
    -; syslog 103 116; tuxcall 184 -; umount2 166 39; unshare 272 97; uselib 134 -;
    userfaultfd 323 282; ustat 136 -; vhangup 153 58; vmsplice 278 75; vserver 236 -
"""
"""Calls the filter program refuses: name, number on x86_64, number on aarch64."""

NEWEST_KNOWN = 462  # mseal, Linux 6.10; numbers are the same on every architecture since 424
FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
NEW_NAMESPACES = 0x7E020000  # the CLONE_NEW* flags of clone(2)
TIOCSTI = 0x5412  # pushes characters into a terminal's input
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
SPECIAL = {
    "x86_64": {"clone": 56, "clone3": 435, "socket": 41, "socketpair": 53, "ioctl": 16},
    "aarch64": {"clone": 220, "clone3": 435, "socket": 198, "socketpair": 199, "ioctl": 29},
}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000

# Opcodes of classic BPF, and offsets into struct seccomp_data (linux/seccomp.h).
LOAD, RETURN = 0x20, 0x06
JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, JUMP_SET = 0x15, 0x25, 0x35, 0x45
NUMBER, ARCH, ARG0, ARG1 = 0, 4, 16, 24
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def docker_profile(*, gvisor: bool = False) -> str:
    """The policy as the JSON that Docker's `seccomp=` option takes.

    gVisor gives EPERM whatever number a rule names, and glibc then starts no thread at all; so it
    is let have clone3, which its own kernel serves and the machine's never sees.
    """
    rules: list[dict[str, object]] = [{"names": ALLOWED.split(), "action": "SCMP_ACT_ALLOW"}]
    for family in FAMILIES:
        is_family = {"index": 0, "value": family, "op": "SCMP_CMP_EQ"}
        names = ["socket", "socketpair"]
        rules.append({"names": names, "action": "SCMP_ACT_ALLOW", "args": [is_family]})
    no_namespace = {"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [no_namespace]})
    # No rule for TIOCSTI here: a container has no terminal, and a 64-bit comparison can be fooled.
    rules.append({"names": ["ioctl"], "action": "SCMP_ACT_ALLOW"})
    # glibc falls back to clone, whose flags can be looked at, only when clone3 is unknown.
    unknown = {"action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}
    rules.append({"names": ["clone3"], **({"action": "SCMP_ACT_ALLOW"} if gvisor else unknown)})
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules})


def denied_numbers(machine: str) -> list[int]:
    """The refused calls' numbers on an architecture."""
    column = 1 if machine == "x86_64" else 2
    entries = [entry.split() for entry in DENIED.replace("\n", " ").split(";")]
    return [int(entry[column]) for entry in entries if entry[column] != "-"]


def _step(code: int, k: int, on_true: int = 0, on_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, on_true, on_false, k)


def _refuse_if(jump: int, value: int, errno: int) -> bytes:
    return _step(jump, value, 0, 1) + _step(RETURN, ERRNO | errno)


def _when(number: int, body: bytes) -> bytes:
    """Run `body`, which must return, when the loaded call number is `number`."""
    return _step(JUMP_EQUAL, number, 0, len(body) // 8) + body


def bpf_program(machine: str | None = None) -> bytes:
    """The policy as a filter program for bubblewrap's `--seccomp`.

    Raises:
        SandboxUnavailableError: this machine's architecture is not known here.
    """
    machine = machine or platform.machine()
    if machine not in SPECIAL:
        raise SandboxUnavailableError(
            "bubblewrap", f"no system call filter for {machine}; use docker"
        )
    special, allow = SPECIAL[machine], _step(RETURN, ALLOW)
    families = b"".join(
        _step(JUMP_EQUAL, family, len(FAMILIES) - index, 0) for index, family in enumerate(FAMILIES)
    )
    is_socket = _step(LOAD, ARG0) + families + _step(RETURN, ERRNO | EAFNOSUPPORT) + allow
    program = _step(LOAD, ARCH) + _step(JUMP_EQUAL, AUDIT_ARCH[machine], 1, 0)
    program += _step(RETURN, ERRNO | EPERM) + _step(LOAD, NUMBER)
    program += _refuse_if(JUMP_GREATER_EQUAL, X32_BIT, EPERM)
    program += _refuse_if(JUMP_GREATER, NEWEST_KNOWN, ENOSYS)
    program += _refuse_if(JUMP_EQUAL, special["clone3"], ENOSYS)
    program += b"".join(_refuse_if(JUMP_EQUAL, number, EPERM) for number in denied_numbers(machine))
    flags = _step(LOAD, ARG0) + _refuse_if(JUMP_SET, NEW_NAMESPACES, EPERM) + allow
    terminal = _step(LOAD, ARG1) + _refuse_if(JUMP_EQUAL, TIOCSTI, EPERM) + allow
    program += _when(special["clone"], flags) + _when(special["ioctl"], terminal)
    program += _when(special["socket"], is_socket) + _when(special["socketpair"], is_socket)
    return program + allow
