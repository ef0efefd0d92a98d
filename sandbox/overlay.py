"""What a box may write, mounted by root before the box starts, in a namespace that ends with it.

The repository is an overlay, so opening it costs the same however large it is: what is written goes
to a sized memory file system with a limit on files. Nothing of it is seen outside, and the kernel
takes it down with the last process of the box, also when ours is killed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the programs that mount are looked for, whatever our own PATH is."""

# The layers are named from within: a colon or comma in a path would otherwise mean something.
# Without redirect_dir a directory of the lower layer could not be renamed.
LAY = """
set -e
umask 022
scratch=$1 lower=$2 owner=$3 repo=$4
shift 4
mount -t tmpfs -o "nosuid,nodev,mode=755,$repo" evoscale "$scratch"
cd "$scratch"
while [ "$1" != -- ]; do
  mkdir "$1"
  mount -t tmpfs -o "nosuid,nodev,mode=1777,uid=$owner,gid=$owner,$2" evoscale "$1"
  shift 2
done
shift
mkdir upper work merged
chown "$owner:$owner" upper merged
if [ -n "$lower" ]; then
  ln -s "$lower" lower
  layers=lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=on
  mount -t overlay -o "nosuid,nodev,$layers" evoscale merged
fi
cd /
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Space:
    """How many bytes and files a memory file system takes."""

    size_bytes: int
    files: int

    @property
    def options(self) -> str:
        """The same in the words of tmpfs (mount(8))."""
        return f"size={self.size_bytes},nr_inodes={self.files}"


@dataclass(frozen=True, slots=True)
class Mounts:
    """What is laid over `scratch`, a directory: the repository, and `others` by their names.

    The repository shows `lower`, or nothing where that is None; all that can be written belongs to
    the user `owner`.
    """

    scratch: Path
    lower: Path | None
    owner: int
    repo: Space
    others: Mapping[str, Space] = field(default_factory=dict)

    @property
    def repository(self) -> Path:
        """Where the repository lies, in the namespace of the box alone."""
        return self.scratch / "merged"

    def other(self, name: str) -> Path:
        """Where one of the others lies."""
        return self.scratch / name

    def before(self, argv: Sequence[str]) -> list[str]:
        """The command that mounts all this in a namespace of its own and then becomes `argv`.

        It looks for its programs on PATH, see `SYSTEM_PATH`; only root may run it.
        """
        namespace = ["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", LAY]
        layers = [str(self.scratch), str(self.lower or ""), str(self.owner), self.repo.options]
        others = [word for name, space in self.others.items() for word in (name, space.options)]
        return [*namespace, "sh", *layers, *others, "--", *argv]
