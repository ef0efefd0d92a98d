"""Prints which promises of a box hold on this machine."""

import argparse
import sys

from sandbox import images
from sandbox.backends import BACKENDS, Kind, find_sandbox
from sandbox.conformance import OPTIONAL, Bench, checks, run_check
from sandbox.errors import SandboxError
from sandbox.settings import SandboxSettings


def main() -> int:
    """Print what holds here; the exit status is 1 where something that must hold does not."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.conformance", description=__doc__)
    parser.add_argument("kind", nargs="?", default="auto", choices=["auto", *BACKENDS])
    kind: Kind = parser.parse_args().kind
    try:
        sandbox = find_sandbox(kind, SandboxSettings())
        bench = Bench(sandbox, images.bare(sandbox))
    except SandboxError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{sandbox.isolation}\n")
    failed = False
    for name, check in checks().items():
        problem = run_check(check, bench)
        optional = name in OPTIONAL.get(sandbox.isolation, ())
        failed |= problem is not None and not optional
        verdict = "holds" if problem is None else ("not here" if optional else "DOES NOT HOLD")
        sys.stdout.write(f"  {verdict:14} {name}{f': {problem}' if problem else ''}\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
