"""Ports that are given away stay free until their program starts."""

import socket
import subprocess
import sys
from pathlib import Path

from sandbox.devstack.free_port import FIRST_PORT, LAST_PORT, free_port

TEN = "from sandbox.devstack.free_port import free_port; print(*(free_port() for _ in range(10)))"


def test_processes_that_ask_at_once_are_given_different_ports() -> None:
    asking = [subprocess.Popen([sys.executable, "-c", TEN], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    given = [int(port) for one in asking for port in one.communicate()[0].split()]
    assert len(set(given)) == 40


def test_the_system_gives_them_to_no_connection() -> None:
    with Path("/proc/sys/net/ipv4/ip_local_port_range").open() as limits:
        first, last = map(int, limits.read().split())
    assert not range(max(first, FIRST_PORT), min(last, LAST_PORT) + 1)


def test_one_in_use_is_passed_over(monkeypatch) -> None:
    taken, other = free_port(), free_port()  # what comes after them may be another process's
    monkeypatch.setattr("sandbox.devstack.free_port._next_in_turn", iter([taken, other]).__next__)
    with socket.create_server(("127.0.0.1", taken)):
        assert free_port() == other
