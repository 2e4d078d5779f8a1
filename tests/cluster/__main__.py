"""The command line: `python -m tests.cluster COMMAND`.

Messages go to stderr; stdout has only what a script wants: a path. With CLUSTER=current in the environment,
`up`, `status`, `kubeconfig`, `load` and `images` are about the cluster of your own kubeconfig, and change
nothing there.
"""

import argparse
import sys
from pathlib import Path

from . import binaries, current, images
from .control_plane import ControlPlane
from .kubectl import Kubectl
from .layout import ClusterError
from .node import Node
from .report import say


def run_binaries(_: argparse.Namespace) -> int:
    """provide the programs of Kubernetes; prints their folder"""
    print(binaries.provide().folder)
    return 0


def run_control_plane(_: argparse.Namespace) -> int:
    """run a control plane in the foreground; prints its kubeconfig"""
    with ControlPlane.start() as running:
        print(running.kubeconfig, flush=True)
        say(f"try: kubectl --kubeconfig {running.kubeconfig} get namespaces   (Ctrl-C ends it)")
        running.wait()
    return 0


def run_up(_: argparse.Namespace) -> int:
    """start the cluster with its node; prints its kubeconfig"""
    if current.chosen():
        current.require_reachable()
        print(current.kubeconfig() or "")
        return 0
    node = Node()
    node.up()
    print(node.kubeconfig)
    return 0


def run_down(_: argparse.Namespace) -> int:
    """remove the cluster and its volumes; caches stay"""
    if current.chosen():
        raise ClusterError(
            "CLUSTER=current: that cluster is yours, it is not removed; unset CLUSTER to remove ours"
        )
    Node().down()
    return 0


def run_status(_: argparse.Namespace) -> int:
    """show nodes and pods; fails when there is no cluster"""
    node = Node()
    if not current.chosen() and not node.running:
        raise ClusterError("there is no cluster; start one with `python -m tests.cluster up`")
    kubectl = Kubectl(None) if current.chosen() else node.kubectl
    print(kubectl("get", "nodes,pods", "--all-namespaces", "--output=wide"), end="")
    return 0


def run_kubeconfig(_: argparse.Namespace) -> int:
    """print the path of the kubeconfig"""
    print(current.kubeconfig() or "" if current.chosen() else Node().kubeconfig)
    return 0


def run_exec(arguments: argparse.Namespace) -> int:
    """run a command inside the node's namespaces, such as `exec -- ctr images list`"""
    return Node().exec(*arguments.words)


def run_load(arguments: argparse.Namespace) -> int:
    """give OCI archives to the node"""
    if not current.chosen():
        Node().load(Path(word) for word in arguments.words)
    return 0


def run_images(arguments: argparse.Namespace) -> int:
    """build our images (operator, trainer, inference or all); prints their archives"""
    if current.chosen():
        print(*current.image_names().values(), sep="\n")
    else:
        unknown = set(arguments.words) - set(images.NAMES)
        if unknown:
            raise ClusterError(f"there is no image {', '.join(unknown)}; ours are {', '.join(images.NAMES)}")
        print(*images.build(arguments.words or images.NAMES).values(), sep="\n")
    return 0


COMMANDS = {
    "binaries": run_binaries,
    "control-plane": run_control_plane,
    "up": run_up,
    "down": run_down,
    "status": run_status,
    "kubeconfig": run_kubeconfig,
    "exec": run_exec,
    "load": run_load,
    "images": run_images,
}
WORDS = {"exec": "COMMAND", "load": "ARCHIVE", "images": "IMAGE"}


def main() -> int:
    """Run one command; errors that a person can act on are printed without a traceback."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        if name in WORDS:
            command.add_argument("words", nargs="*" if name == "images" else "+", metavar=WORDS[name])
    arguments = parser.parse_args()
    try:
        return COMMANDS[arguments.command](arguments)
    except ClusterError as error:
        say("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
