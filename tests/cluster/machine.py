"""What a cluster could leave behind on the machine, for tests that it does not."""

from pathlib import Path


def processes_mentioning(text: str) -> list[str]:
    """Command lines of running processes that contain `text`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if text in command:
            found.append(command)
    return found


def interfaces() -> list[str]:
    """Network interfaces of the machine's own namespace."""
    return sorted(path.name for path in Path("/sys/class/net").iterdir())


def mounts_mentioning(text: str) -> list[str]:
    """Mounts of the machine's own namespace whose place, source or options contain `text`."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if text in line]


def settings() -> dict[str, str]:
    """Kernel settings that programs of a node like to change."""
    names = ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"]
    names += ["kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward"]
    names += [
        "net/ipv4/conf/all/route_localnet",
        "net/bridge/bridge-nf-call-iptables",
        "net/netfilter/nf_conntrack_max",
    ]
    paths = (Path("/proc/sys") / name for name in names)
    return {str(path): path.read_text() for path in paths if path.exists()}
