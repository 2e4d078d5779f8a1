"""Kubernetes from Debian's source package with Debian's Go, where nothing but a Debian mirror is reached.

Debian itself builds only kubectl from that package; three things make the servers build and work:
the package lacks one generated file, its vendored reflect2 crashes when compiled by a Go newer than 1.17,
and its dependency metadata predates module mode, so the build runs in GOPATH mode.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .layout import ClusterError, cache_folder
from .report import step
from .toolbox import Apt, run, unpack

VERSION = "v1.20.2"
TREE = "k8s.io/kubernetes"
GO = "usr/lib/go-1.19"
REFLECT2 = "src/github.com/modern-go/reflect2"
OPENAPI = "pkg/generated/openapi"
#: In-tree cloud providers double the programs, and make the kubelet wait for a service that is not there.
TAGS = "providerless,dockerless"


@dataclass(frozen=True)
class Workshop:
    """The folder of one build: toolchain, sources and Go's caches; removed once the programs are made."""

    folder: Path

    @property
    def tree(self) -> Path:
        """Sources at their place in the GOPATH."""
        return self.folder / "gopath/src" / TREE

    @property
    def toolchain(self) -> Path:
        """Unpacked Debian packages: Go and the newer reflect2."""
        return self.folder / "toolchain"

    def go(self, *arguments: str) -> None:
        """Run the go command in the source tree, offline."""
        root = self.toolchain / GO
        environment = dict(
            os.environ,
            GOROOT=str(root),
            GOPATH=str(self.folder / "gopath"),
            GOCACHE=str(self.folder / "gocache"),
            GO111MODULE="off",
            GOPROXY="off",
            GOFLAGS="",
            CGO_ENABLED="0",
            # Inside the GOPATH a logical working directory decides what is vendored.
            PWD=str(self.tree),
        )
        run([str(root / "bin/go"), *arguments], cwd=self.tree, environment=environment)


def build(folder: Path, components: tuple[str, ...]) -> None:
    """Build `components` into `folder`; needs 3 GB of disk while it runs."""
    workshop = Workshop(cache_folder() / "build")
    shutil.rmtree(workshop.folder, ignore_errors=True)
    workshop.folder.mkdir()
    with step("Downloading Go and the sources of Kubernetes from Debian", "20 s"):
        _fetch(workshop)
    _replace_reflect2(workshop)
    with step("Building Kubernetes' code generator and generating the API description", "30 s"):
        _generate_openapi(workshop)
    with step(f"Building Kubernetes {VERSION}", "4 minutes on two cores"):
        commands = [f"./cmd/{component}" for component in components]
        workshop.go(
            "build", "-tags", TAGS, "-trimpath", "-ldflags", _linker_flags(), "-o", f"{folder}/", *commands
        )
    shutil.rmtree(workshop.folder)


def _fetch(workshop: Workshop) -> None:
    packages = ["golang-1.19-go", "golang-1.19-src", "golang-github-modern-go-reflect2-dev"]
    unpack(packages, workshop.toolchain)
    with Apt() as apt:
        apt.download_source("kubernetes", workshop.folder)
    archives = list(workshop.folder.glob("kubernetes_*.orig.tar.*"))
    if len(archives) != 1:
        raise ClusterError(
            f"{workshop.folder} should hold one upstream archive of kubernetes, not {len(archives)}"
        )
    workshop.tree.mkdir(parents=True)
    run(
        [
            "tar",
            "--extract",
            "--file",
            str(archives[0]),
            "--directory",
            str(workshop.tree),
            "--strip-components=1",
        ]
    )


def _replace_reflect2(workshop: Workshop) -> None:
    """Without this kube-apiserver dies of a segmentation fault at the first custom resource."""
    vendored = workshop.tree / "vendor" / REFLECT2.removeprefix("src/")
    shutil.rmtree(vendored)
    shutil.copytree(
        workshop.toolchain / "usr/share/gocode" / REFLECT2,
        vendored,
        ignore=shutil.ignore_patterns("*_test.go", "test*"),
    )


def _generate_openapi(workshop: Workshop) -> None:
    generator = workshop.folder / "openapi-gen"
    workshop.go("build", "-o", str(generator), "./vendor/k8s.io/kube-openapi/cmd/openapi-gen")
    environment = dict(
        os.environ,
        GOROOT=str(workshop.toolchain / GO),
        GOPATH=str(workshop.folder / "gopath"),
        GO111MODULE="off",
        PATH=f"{workshop.toolchain / GO}/bin:{os.environ['PATH']}",
        PWD=str(workshop.tree),
    )
    command = [str(generator), "--input-dirs", ",".join(_packages_with_api_types(workshop.tree))]
    command += ["--output-package", f"{TREE}/{OPENAPI}", "--output-file-base", "zz_generated.openapi"]
    command += ["--go-header-file", "vendor/k8s.io/code-generator/hack/boilerplate.go.txt"]
    command += ["--report-filename", str(workshop.folder / "openapi_violations.report")]
    run(command, cwd=workshop.tree, environment=environment)


def _packages_with_api_types(tree: Path) -> list[str]:
    """Import paths of the packages whose types are marked for the API description."""
    marked = set()
    for top in ("pkg", "cmd", "plugin", "staging/src/k8s.io"):
        for source in (tree / top).rglob("*.go"):
            if b"+k8s:openapi-gen=" in source.read_bytes():
                marked.add(source.parent.relative_to(tree).as_posix())
    foreign = ("staging/src/k8s.io/code-generator/", "staging/src/k8s.io/sample-apiserver/")
    own = (f"{package}/" for package in marked)
    return sorted(
        f"{TREE}/{package.replace('staging/src/', 'vendor/', 1).rstrip('/')}"
        for package in own
        if not package.startswith(foreign)
    )


def _linker_flags() -> str:
    """Strip symbols, and stamp the version that clients ask for."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    values = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "archive"}
    packages = ("component-base/version", "client-go/pkg/version")
    stamps = [f"-X {TREE}/vendor/k8s.io/{p}.{key}={value}" for p in packages for key, value in values.items()]
    return " ".join(["-s -w", *stamps])
