"""Kubernetes' official release download, pinned by digest."""

import hashlib
import platform
import shutil
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from .layout import ClusterError
from .report import answers_quickly, step

#: Machine's own name of its architecture -> Kubernetes' name.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Release:
    """One server archive."""

    version: str
    url: str
    sha512: str

    def available(self) -> bool:
        """Whether the host answers quickly."""
        return answers_quickly(self.url)

    def download(self, folder: Path, components: tuple[str, ...]) -> None:
        """Fetch the archive, verify it, and extract the programs `components` into `folder`."""
        archive = folder / "server.tar.gz"
        with step(f"Downloading Kubernetes {self.version} (about 400 MB)", "1 minute"):
            digest = _fetch(self.url, archive)
        if digest != self.sha512:
            archive.unlink()
            raise ClusterError(f"{self.url} has sha512 {digest}, not the published one; set KUBE_BIN_DIR")
        wanted = {f"kubernetes/server/bin/{name}": folder / name for name in components}
        with tarfile.open(archive) as content:
            for member in content:
                if member.name in wanted and (program := content.extractfile(member)):
                    with program, wanted[member.name].open("wb") as file:
                        shutil.copyfileobj(program, file)
                    wanted[member.name].chmod(0o755)
        archive.unlink()


VERSION = "v1.34.7"
#: Architecture -> sha512 of the server archive, as published in the project's CHANGELOG.
SHA512 = {
    "amd64": "baaf8dd4ff110a384e9dfe3db54a85a04223074fd13da32a38f9883a12b93bcd"
    "26ae4d666bbc2f37724f0a6631f3d2e4ddb97caaf909906711a824afd70cec81",
    "arm64": "06fa3ac02fa8e90f406d2a054c85d11ad8e323b70aaf158acc0e68da32964901"
    "68ec2c7ee6f61bf4e3b14adad5f33f62feeeaf5974b9417b2d34a771e013d4f3",
}


def pinned() -> Release | None:
    """The release for this machine; None where there is none for its architecture."""
    architecture = ARCHITECTURES.get(platform.machine(), "")
    if architecture not in SHA512:
        return None
    url = f"https://dl.k8s.io/{VERSION}/kubernetes-server-linux-{architecture}.tar.gz"
    return Release(VERSION, url, SHA512[architecture])


def _fetch(url: str, archive: Path) -> str:
    """Write the download to a file and return its sha512."""
    digest = hashlib.sha512()
    with urllib.request.urlopen(url, timeout=30) as answer, archive.open("wb") as file:
        total = int(answer.headers.get("Content-Length", 0)) or None
        with tqdm(total=total, unit="B", unit_scale=True, desc=archive.name) as bar:
            while block := answer.read(1 << 20):
                digest.update(block)
                file.write(block)
                bar.update(len(block))
    return digest.hexdigest()
