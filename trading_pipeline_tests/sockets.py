"""Where a process and all that it has started listen, and how they were called, by the kernel."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def listening(root: int) -> set[str]:
    """The addresses on which `root`, its descendants or its session listen by TCP or UDP."""
    own = {inode for pid in _family(root) for inode in _sockets(pid)}
    return {address for address, inode in _open() if inode in own}


def command_lines(root: int) -> str:
    """How `root`, its descendants and its session were called, as any user of the machine sees."""
    return "\n".join(
        path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for path in (_PROC / str(pid) / "cmdline" for pid in _family(root))
        if path.exists()
    )


def _open() -> Iterator[tuple[str, str]]:
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in (_PROC / "net" / kind).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == _LISTENING or (kind[:3] == "udp" and words[2].endswith(":0000")):
                yield _address(words[1].partition(":")[0]), words[9]


def _address(text: str) -> str:
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    whole = b"".join(words)
    return str(IPv4Address(whole) if len(whole) == 4 else IPv6Address(whole))


def _family(root: int) -> set[int]:
    """`root`, its descendants, and what it left behind in its session."""
    parents = dict(_processes())
    found, size = {root}, 0
    while size != len(found):
        size = len(found)
        found |= {pid for pid, near in parents.items() if near & found}
    return found


def _processes() -> Iterator[tuple[int, set[int]]]:
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            yield int(folder.name), {int(words[1]), int(words[3])}


def _sockets(pid: int) -> Iterator[str]:
    try:
        for link in (_PROC / str(pid) / "fd").iterdir():
            name = str(link.readlink())
            if name.startswith("socket:["):
                yield name[8:-1]
    except OSError:
        return
