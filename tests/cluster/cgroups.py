"""The control group under which a node's pods live, in cgroup v1 (every hierarchy) and v2 (one tree)."""

import errno
import time
from collections.abc import Iterator
from pathlib import Path

from .layout import ClusterError

MOUNTS = Path("/proc/self/mountinfo")
#: Controllers that the kubelet of a v2 machine asks for in the group that it is given.
NEEDED = ("cpu", "cpuset", "io", "memory", "pids", "hugetlb")
REMOVAL_SECONDS = 20.0
POLL_SECONDS = 0.05


class Cgroup:
    """One named group at the top of every hierarchy."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._hierarchies = list(_hierarchies())

    @property
    def folders(self) -> list[Path]:
        """The group's folder in each hierarchy that has it."""
        return [path for top, _ in self._hierarchies if (path := top / self._name).is_dir()]

    def create(self) -> list[str]:
        """Make the group; returns what had to be switched on at the top of a v2 tree, for `remove`."""
        switched_on: list[str] = []
        for top, version in self._hierarchies:
            group = top / self._name
            if version == 2 and len(self._hierarchies) == 1:
                switched_on = _enable(top, [c for c in NEEDED if c in _words(top / "cgroup.controllers")])
                group.mkdir(exist_ok=True)
                _enable(group, _words(group / "cgroup.controllers"))
            elif version == 1:
                group.mkdir(exist_ok=True)
                for value in ("cpuset.cpus", "cpuset.mems"):
                    # A new cpuset is empty and would run nothing.
                    if (group / value).exists():
                        (group / value).write_text((top / value).read_text())
        return switched_on

    def remove(self, switched_on: list[str]) -> None:
        """Remove the group with everything below, as the last of its processes end."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        while any(_processes(folder) for folder in self.folders):
            if time.monotonic() > deadline:
                raise ClusterError(f"processes still run in control group {self._name}; end them first")
            time.sleep(POLL_SECONDS)
        for folder in self.folders:
            for below in sorted(folder.rglob("*/"), key=lambda path: -len(path.parts)):
                below.rmdir()
            folder.rmdir()
        for top, version in self._hierarchies:
            if version == 2:
                _disable(top, switched_on)


def _hierarchies() -> Iterator[tuple[Path, int]]:
    """Mount point and version of each mounted hierarchy."""
    for line in MOUNTS.read_text().splitlines():
        before, after = line.split(" - ", 1)
        kind = after.split()[0]
        if kind in ("cgroup", "cgroup2"):
            yield Path(before.split()[4]), 2 if kind == "cgroup2" else 1


def _processes(folder: Path) -> list[str]:
    """Processes of a group and of those below it."""
    return [pid for file in folder.rglob("cgroup.procs") for pid in file.read_text().split()]


def _words(path: Path) -> list[str]:
    return path.read_text().split()


def _enable(group: Path, controllers: list[str]) -> list[str]:
    """Pass controllers on to the group's children; returns those that were off before."""
    off = [name for name in controllers if name not in _words(group / "cgroup.subtree_control")]
    for name in off:
        try:
            (group / "cgroup.subtree_control").write_text(f"+{name}")
        except OSError as error:
            raise ClusterError(
                f"control group {group} cannot pass on {name} ({error.strerror}), as usual in a container; "
                "use a machine of its own, or CLUSTER=current"
            ) from error
    return off


def _disable(top: Path, controllers: list[str]) -> None:
    for name in controllers:
        try:
            (top / "cgroup.subtree_control").write_text(f"-{name}")
        except OSError as error:
            if error.errno != errno.EBUSY:  # somebody else has come to use it: then it stays on
                raise
