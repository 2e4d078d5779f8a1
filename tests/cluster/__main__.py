"""The command line: `python -m tests.cluster COMMAND`."""

import argparse
import sys
from collections.abc import Callable

from . import binaries
from .control_plane import ControlPlane
from .layout import ClusterError
from .node import Node
from .report import say


def provide_binaries(_: argparse.Namespace) -> None:
    """Provide the programs of Kubernetes and print their folder."""
    print(binaries.provide().folder)


def run_control_plane(_: argparse.Namespace) -> None:
    """Run a control plane in the foreground and print its kubeconfig; Ctrl-C ends it."""
    with ControlPlane.start() as running:
        print(running.kubeconfig, flush=True)
        say(f"try: kubectl --kubeconfig {running.kubeconfig} get namespaces   (Ctrl-C ends it)")
        running.wait()


def up(_: argparse.Namespace) -> None:
    """Start the cluster with its node and print its kubeconfig."""
    node = Node()
    node.up()
    print(node.kubeconfig)


def down(_: argparse.Namespace) -> None:
    """Remove the cluster; the caches stay."""
    Node().down()


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "binaries": provide_binaries,
    "control-plane": run_control_plane,
    "up": up,
    "down": down,
}


def main() -> int:
    """Run one command; errors that a person can act on are printed without a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in COMMANDS.items():
        commands.add_parser(name, help=function.__doc__)
    arguments = parser.parse_args()
    try:
        COMMANDS[arguments.command](arguments)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
