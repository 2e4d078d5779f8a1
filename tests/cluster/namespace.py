"""The inside of the node's namespaces: its view of the file tree, and its network.

What programs of a node change for a whole machine (folders under /var and /run, kernel settings) is here
replaced by the node's own, so that the machine keeps what it has.
"""

import subprocess
from pathlib import Path

from .components import SERVICE_NETWORK
from .node_components import NODE_ADDRESS
from .toolbox import Tools, run

#: Settings of the whole kernel that the kubelet insists on, with the values it wants to find.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def prepare_file_tree(folder: Path) -> None:
    """Give /var a private upper layer, empty /run, and hide the kernel's settings behind files."""
    # Mounts of pods must reach the containers; the namespace itself is already cut off from the machine.
    run(["mount", "--make-rshared", "/"])
    upper, work = folder / "var", folder / "var-work"
    upper.mkdir()
    work.mkdir()
    run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/var,upperdir={upper},workdir={work}", "/var"])
    run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
    shields = folder / "kernel-settings"
    shields.mkdir()
    for name, value in KERNEL_SETTINGS.items():
        shield = shields / name.replace("/", ".")
        shield.write_text(f"{value}\n")
        run(["mount", "--bind", str(shield), f"/proc/sys/{name}"])


def prepare_network(tools: Tools) -> None:
    """A node address, and a way for Services; deliberately no default route.

    Without one, look-ups of cloud metadata fail at once in place of holding up the kubelet's start.
    """
    ip = tools.which("ip")
    for arguments in (
        "link set lo up",
        "link add node0 type bridge",
        f"address add {NODE_ADDRESS}/24 dev node0",
        "link set node0 up",
        f"route add {SERVICE_NETWORK} dev node0",
    ):
        run([ip, *arguments.split()], environment=tools.environment)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def prepare_iptables(tools: Tools, folder: Path) -> None:
    """A folder for the PATH, with `iptables` and its companions in the variant that this kernel has.

    Debian's package chooses the variant when it is installed; ours is only unpacked.
    """
    folder.mkdir()
    nft = tools.which("xtables-nft-multi")
    probe = [nft, "iptables", "--table", "nat", "--list"]
    works = subprocess.run(probe, env=tools.environment, capture_output=True, check=False).returncode == 0
    program = nft if works else tools.which("xtables-legacy-multi")
    for name in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            (folder / f"{name}{suffix}").symlink_to(program)
