import json
import struct

import pytest

from sandbox.errors import SandboxUnavailableError
from sandbox.seccomp import (
    ALLOWED,
    AUDIT_ARCH,
    DENIED,
    SPECIAL,
    bpf_program,
    denied_numbers,
    docker_profile,
)

ALLOW = 0x7FFF0000
EPERM, ENOSYS, EAFNOSUPPORT = 0x50001, 0x50026, 0x50061
NEW_USER = 0x10000000


def decide(program: bytes, number: int, *arguments: int, arch: int) -> int:
    """Run a filter program as the kernel does."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = accumulator = 0
    while True:
        code, on_true, on_false, k = steps[at]
        at += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, k)
            continue
        test = {
            0x15: accumulator == k,
            0x25: accumulator > k,
            0x35: accumulator >= k,
            0x45: bool(accumulator & k),
        }
        at += on_true if test[code] else on_false


@pytest.mark.parametrize("machine", sorted(SPECIAL))
def test_the_filter_decides_as_the_policy_says(machine: str) -> None:
    program, arch, special = bpf_program(machine), AUDIT_ARCH[machine], SPECIAL[machine]
    for number in denied_numbers(machine):
        assert decide(program, number, arch=arch) == EPERM
    assert decide(program, 9999, arch=arch) == ENOSYS
    assert decide(program, special["clone3"], arch=arch) == ENOSYS
    assert decide(program, special["clone"], 0x11, arch=arch) == ALLOW
    assert decide(program, special["clone"], NEW_USER | 0x11, arch=arch) == EPERM
    assert decide(program, special["ioctl"], 0, 0x5401, arch=arch) == ALLOW
    assert decide(program, special["ioctl"], 0, 0x5412, arch=arch) == EPERM
    for call in ("socket", "socketpair"):
        verdicts = {
            family: decide(program, special[call], family, arch=arch)
            for family in (1, 2, 10, 16, 17, 38, 40)
        }
        assert verdicts == {
            1: ALLOW,
            2: ALLOW,
            10: ALLOW,
            16: ALLOW,
            17: EAFNOSUPPORT,
            38: EAFNOSUPPORT,
            40: EAFNOSUPPORT,
        }
    assert decide(program, 0x40000000 | 1, arch=arch) == EPERM
    assert decide(program, 1, arch=0x40000003) == EPERM
    read = {"x86_64": 0, "aarch64": 63}[machine]
    assert decide(program, read, arch=arch) == ALLOW


def test_a_machine_that_is_not_known_gets_no_filter_and_no_box() -> None:
    with pytest.raises(SandboxUnavailableError, match="use docker"):
        bpf_program("riscv64")


def test_the_two_policies_do_not_contradict_each_other() -> None:
    denied = {entry.split()[0] for entry in DENIED.replace("\n", " ").split(";")}
    assert not denied & set(ALLOWED.split())
    assert {
        "io_uring_setup",
        "ptrace",
        "unshare",
        "mount",
        "keyctl",
        "bpf",
        "userfaultfd",
    } <= denied


def test_docker_lets_nothing_through_that_is_not_named() -> None:
    profile = json.loads(docker_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    families = {
        rule["args"][0]["value"] for rule in profile["syscalls"] if "socket" in rule["names"]
    }
    assert families == {1, 2, 10, 16}


def test_gvisor_is_let_have_the_call_whose_refusal_it_misreports() -> None:
    def actions(profile: str) -> dict[str, object]:
        rules = json.loads(profile)["syscalls"]
        return {name: rule["action"] for rule in rules for name in rule["names"]}

    usual, gvisor = actions(docker_profile()), actions(docker_profile(gvisor=True))
    changed = {name for name in usual if usual[name] != gvisor[name]}
    assert changed == {"clone3"}
    assert gvisor["clone3"] == "SCMP_ACT_ALLOW"
