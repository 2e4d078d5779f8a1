"""Files out of Debian packages, without installing the packages.

Needs neither root nor a change of the system: packages are downloaded (apt checks their signatures) and
unpacked in the cache folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Where what is slow to make is kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rvc-operator"


def unpacked(*packages: str) -> Path:
    """Folder with the files of Debian packages, downloaded at the first call.

    Raises RuntimeError where there is no apt or the packages cannot be had.
    """
    target = cache_folder() / "debian" / "+".join(packages)
    if target.is_dir():
        return target
    if shutil.which("apt-get") is None:
        raise RuntimeError(
            f"the demo takes recordings from the Debian packages {' '.join(packages)}: run it on Debian"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        _download(packages, Path(scratch))
        tree = Path(scratch) / "tree"
        for archive in sorted(Path(scratch).glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(archive), str(tree)], check=True)
        tree.rename(target)
    return target


def _download(packages: tuple[str, ...], folder: Path) -> None:
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages]
    if subprocess.run(command, cwd=folder, capture_output=True).returncode:
        print("refreshing apt's package lists", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"apt-get cannot download {' '.join(packages)}: {done.stderr.strip()}")
