"""Connections between two sessions of one thread."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gridtoken.embedded.localnet import Localnet
from minting.cluster.nodes import Cluster
from minting.conf import current
from minting.service.chain import session
from minting.service.chain.session import open_session


@pytest.fixture
def keeping(chain, monkeypatch):
    """As in a server or a worker."""
    monkeypatch.setattr(session, "_keeping", True)
    yield chain
    link, session._keeper.link = session._keeper.link, None
    if link is not None:
        link.close()


def genesis_calls(net: Localnet) -> int:
    return net.requests["getGenesisHash"]


def test_a_thread_goes_on_with_the_connections_it_has(keeping):
    with open_session() as first:
        first.run(first.cluster.slot())
    before = genesis_calls(keeping)
    with open_session() as second:
        second.run(second.cluster.slot())
    assert second.cluster is first.cluster
    assert genesis_calls(keeping) == before


def test_whoever_does_not_live_long_keeps_nothing(chain):
    with open_session() as first:
        first.run(first.cluster.slot())
    with open_session() as second:
        assert second.cluster is not first.cluster
        second.run(second.cluster.slot())


def test_after_a_failure_connections_are_made_anew(keeping):
    seen: list[Cluster] = []
    with pytest.raises(LookupError):
        _fail_inside(seen)
    with open_session() as second:
        assert second.cluster is not seen[0]


def _fail_inside(seen: list[Cluster]) -> None:
    with open_session() as first:
        seen.append(first.cluster)
        raise LookupError


def test_other_settings_mean_other_connections(keeping):
    with open_session() as first:
        pass
    with open_session(replace(current(), genesis_hash="another")) as second:
        assert second.cluster is not first.cluster


def test_a_session_within_a_session_has_connections_of_its_own(keeping):
    with open_session() as outer:
        with open_session() as inner:
            assert inner.cluster is not outer.cluster
            inner.run(inner.cluster.slot())
        outer.run(outer.cluster.slot())
    with open_session() as later:
        assert later.cluster is inner.cluster
