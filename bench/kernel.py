"""What processes cost, by the kernel's account."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and its children's children, as many as still live."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


def cpu_ms(pids: Iterable[int]) -> float:
    """Processor time of these processes and their descendants, the ended ones included; the kernel counts in ticks of 10 ms."""
    return sum(_cpu_ms(each) for pid in pids for each in family(pid))


def _cpu_ms(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) * _TICK_MS


def worker_memory_mb(pid: int) -> list[tuple[float, float]]:
    """(PSS, RSS) of each child of a server's master, in MB of 1,000,000 bytes."""
    return [_memory_mb(child) for child in family(pid)[1:]]


def _memory_mb(pid: int) -> tuple[float, float]:
    rollup = _kilobytes(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return rollup["Pss"] * 1024 / 1e6, rollup["Rss"] * 1024 / 1e6


def _kilobytes(text: str) -> dict[str, int]:
    return {name: int(figure) for name, figure in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}


def forget_peaks(pid: int) -> list[tuple[int, float]]:
    """Begin anew with each worker's peak of memory; (pid, MB that it holds now)."""
    for child in family(pid)[1:]:
        Path(f"/proc/{child}/clear_refs").write_text("5")
    return [(child, _status_mb(child, "VmRSS")) for child in family(pid)[1:]]


def peak_mb(pid: int) -> float:
    """The most that a process has held since its peak was forgotten."""
    return _status_mb(pid, "VmHWM")


def _status_mb(pid: int, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def open_files(pid: int) -> int:
    """Descriptors that a server's workers have open."""
    return sum(len(list(Path(f"/proc/{child}/fd").iterdir())) for child in family(pid)[1:])
