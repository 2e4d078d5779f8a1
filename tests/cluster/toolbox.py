"""Programs that the machine lacks: Debian packages unpacked into the cache folder, never installed.

Installing a daemon's package would start services, add users and upgrade other packages. Unpacking changes
nothing outside the cache folder and needs no root. apt still does what it is good at: it resolves
dependencies against what is installed, and checks signatures, with package lists of its own.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from .layout import ClusterError, cache_folder, exclusive
from .report import step

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

#: group -> program -> Debian package. A program already on the PATH is taken from there.
GROUPS: Mapping[str, Mapping[str, str]] = {
    "etcd": {"etcd": "etcd-server", "openssl": "openssl"},
    "node": {
        "containerd": "containerd",
        "runc": "runc",
        "xtables-nft-multi": "iptables",
        "conntrack": "conntrack",
        "ip": "iproute2",
    },
    "images": {"buildah": "buildah", "debootstrap": "debootstrap"},
    "media": {"ffprobe": "ffmpeg"},
}
#: Packages without a program of their own on the PATH.
EXTRA_PACKAGES: Mapping[str, tuple[str, ...]] = {"node": ("containernetworking-plugins", "busybox-static")}
DOWNLOAD_TIME = {"etcd": "5 s", "node": "10 s", "images": "10 s", "media": "20 s"}
#: Libraries that programs find by links which an installation makes, or where it would put them.
NESTED_LIBRARIES = ("blas", "lapack", "pulseaudio")


@dataclass(frozen=True)
class Tools:
    """Programs of some groups: those of the machine, and beside them the unpacked packages."""

    roots: tuple[Path, ...]
    """Unpacked package trees."""

    environment: dict[str, str] = field(init=False)
    """The process environment in which the programs (and the libraries they need) are found."""

    @property
    def _libraries(self) -> list[Path]:
        folders = (root / parent for root in self.roots for parent in ("usr/lib", "lib"))
        return [path for folder in folders for path in folder.glob("*-linux-gnu")]

    def __post_init__(self) -> None:
        programs = [root / folder for root in self.roots for folder in ("usr/sbin", "usr/bin", "sbin", "bin")]
        system = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        environment = dict(os.environ, PATH=":".join([*map(str, programs), *system]))
        if self._libraries:
            nested = [folder / name for folder in self._libraries for name in NESTED_LIBRARIES]
            environment["LD_LIBRARY_PATH"] = ":".join(map(str, [*self._libraries, *nested]))
        for extensions in (path for folder in self._libraries for path in folder.glob("xtables")):
            environment["XTABLES_LIBDIR"] = str(extensions)
        object.__setattr__(self, "environment", environment)

    def which(self, program: str) -> str:
        """Full path of a program; raises ClusterError when it is nowhere."""
        path = shutil.which(program, path=self.environment["PATH"])
        if path is None:
            raise ClusterError(f"{program} is not on the PATH; install it, or use CLUSTER=current")
        return path

    def with_libraries(self, command: list[str]) -> list[str]:
        """A command line that runs `command` where the unpacked libraries are in the system's own folder.

        For programs that start themselves again in an environment without our library path. What they mount
        ends with them, since all this happens in a mount namespace of their own. Needs root.
        """
        alone = ["unshare", "--mount"]
        if not self._libraries:
            return [*alone, *command]
        system = Path("/usr/lib") / self._libraries[0].name
        layers = ":".join(map(str, [*self._libraries, system]))
        mount = f'mount -t overlay overlay -o lowerdir={layers} {system} && exec "$@"'
        return [*alone, "sh", "-c", mount, "sh", *command]

    def find(self, path: str) -> Path:
        """Absolute path of a file or folder of a package, in an unpacked tree or on the machine itself."""
        for root in (*self.roots, Path("/")):
            if (root / path).exists():
                return root / path
        raise ClusterError(
            f"/{path} is missing; install the Debian package that has it, or use CLUSTER=current"
        )


def tools(*groups: str) -> Tools:
    """Programs of `groups`, downloading what neither the machine nor the cache has (Debian 12 only)."""
    return Tools(tuple(root for group in groups for root in _group_root(group)))


def _group_root(group: str) -> tuple[Path, ...]:
    root = cache_folder() / "toolbox" / group
    with exclusive(f"toolbox-{group}"):
        missing = [
            *(package for program, package in GROUPS[group].items() if not _has_program(root, program)),
            *(package for package in EXTRA_PACKAGES.get(group, ()) if not _has_package(root, package)),
        ]
        if missing:
            with step(f"Downloading {', '.join(missing)} from Debian into {root}", DOWNLOAD_TIME[group]):
                unpack(missing, root)
    return (root,) if root.exists() else ()


def _has_program(root: Path, program: str) -> bool:
    """Whether a program is in an unpacked tree or on the machine."""
    return shutil.which(program, path=Tools((root,)).environment["PATH"]) is not None


def _has_package(root: Path, package: str) -> bool:
    """Whether a package is unpacked or installed; each has a folder of documentation."""
    return any((top / "usr/share/doc" / package).exists() for top in (root, Path("/")))


def unpack(packages: list[str], root: Path) -> None:
    """Unpack packages, and those of their dependencies that the machine lacks, into the folder `root`."""
    partial = root.with_name(f"{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    if root.exists():
        root.rename(partial)
    partial.mkdir(parents=True, exist_ok=True)
    with Apt() as apt:
        for archive in apt.download(packages):
            run(["dpkg-deb", "--extract", str(archive), str(partial)])
    partial.rename(root)


class Apt:
    """apt with package lists, sources and an archive of its own, for a while; use as a context manager."""

    def __init__(self) -> None:
        require_debian()
        self._folder = Path(tempfile.mkdtemp(prefix="apt-", dir=cache_folder()))
        for part in ("state/lists/partial", "cache/archives/partial"):
            (self._folder / part).mkdir(parents=True)
        sources = self._folder / "sources.list"
        sources.write_text(
            "".join(f"{kind} [signed-by={KEYRING}] {mirror()} {SUITE} main\n" for kind in ("deb", "deb-src"))
        )
        self._options = [
            f"Dir::Etc::SourceList={sources}",
            "Dir::Etc::SourceParts=/dev/null",
            f"Dir::State::Lists={self._folder / 'state/lists'}",
            f"Dir::Cache={self._folder / 'cache'}",
            # Nothing is installed, so the package database needs no lock and the download no user of its own.
            "Debug::NoLocking=true",
            "APT::Sandbox::User=",
        ]

    def __enter__(self) -> Self:
        self._run("update", cwd=self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder)

    def download(self, packages: list[str]) -> list[Path]:
        """Packages (also those installed) with their missing dependencies, as .deb files."""
        archives = self._folder / "cache/archives"
        self._run(
            "install",
            "--yes",
            "--download-only",
            "--reinstall",
            "--no-install-recommends",
            *packages,
            cwd=archives,
        )
        return sorted(archives.glob("*.deb"))

    def download_source(self, package: str, folder: Path) -> None:
        """Download a source package, checked against the signed index, into `folder`."""
        self._run("source", "--download-only", package, cwd=folder)

    def _run(self, command: str, *arguments: str, cwd: Path) -> None:
        options = [word for option in self._options for word in ("-o", option)]
        run(["apt-get", *options, "--quiet=2", command, *arguments], cwd=cwd)


def mirror() -> str:
    """The Debian mirror that the machine itself uses."""
    addresses = run(["apt-get", "update", "--print-uris"])
    found = re.search(rf"'(\S+)/dists/(?:{SUITE}|stable|oldstable)/InRelease'", addresses)
    if found is None:
        raise ClusterError(f"apt knows no Debian {SUITE} mirror; name one in /etc/apt/sources.list")
    return found[1]


def require_debian() -> None:
    """Raise unless this is the Debian release whose packages fit."""
    try:
        release = Path("/etc/os-release").read_text()
    except FileNotFoundError:
        release = ""
    if not re.search(rf'^VERSION_CODENAME="?{SUITE}"?$', release, re.MULTILINE):
        raise ClusterError(
            f"a program is missing, and packages can be taken from Debian 12 ({SUITE}) only. Install etcd, "
            "containerd, runc, the CNI plugins, iptables, conntrack, iproute2, buildah and debootstrap "
            "yourself and set KUBE_BIN_DIR to a folder of Kubernetes binaries, or set CLUSTER=current to use "
            "the cluster of your current kubeconfig."
        )


def run(command: list[str], *, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed; ClusterError with its last words otherwise."""
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise ClusterError(f"`{' '.join(command[:6])} ...` ended with {done.returncode}:\n{tail}")
    return done.stdout
