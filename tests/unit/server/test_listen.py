"""Ports."""

from __future__ import annotations

import socket

import pytest

from ironbucket import errors
from ironbucket.server.listen import listeners


def test_one_port_for_all() -> None:
    made = listeners("127.0.0.1", 0, 3, 16)
    try:
        assert len({sock.getsockname() for sock in made}) == 1
        assert all(sock.gettimeout() == 0 for sock in made)
        with pytest.raises(errors.ConfigurationError, match="Another program uses this port"):
            listeners("127.0.0.1", made[0].getsockname()[1], 1, 16)
    finally:
        for sock in made:
            sock.close()


def test_both_families() -> None:
    if not socket.has_ipv6:
        return
    made = listeners("::", 0, 1, 16)
    try:
        with socket.create_connection(("127.0.0.1", made[0].getsockname()[1]), timeout=5):
            pass
    finally:
        made[0].close()


def test_no_such_host() -> None:
    with pytest.raises(errors.ConfigurationError, match="cannot listen on"):
        listeners("no.such.host.invalid", 0, 1, 16)
