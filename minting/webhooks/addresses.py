"""Which URLs and addresses may be sent to: whoever may enter a URL must not reach our inside.

IPv4: everything but what IANA's special-purpose registry takes out, and multicast. IPv6: global
unicast (``2000::/3``) alone, less what of it is special; that leaves out loopback, unique local,
link-local, multicast, IPv4-mapped and NAT64 addresses without naming them.
Source: IANA special-purpose address registries, read 2026-11-24.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx2

LONGEST = 500
"""Characters of a URL."""

HTTPS_PORT = 443
FIRST_FREE_PORT = 1024
"""Ports below belong to other protocols, which might take a request for one of theirs."""

_CLOSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's own agent: a public address of nobody but the machine
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_OPEN_6 = IPv6Network("2000::/3")
_CLOSED_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols' own, Teredo among them
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address inside
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)


class UrlRefused(ValueError):
    """A URL that nothing is sent to; the sentence says why."""


class AddressRefused(ConnectionError):
    """An address that nothing is sent to."""


def is_public(address: str) -> bool:
    """Whether an address, as the resolver writes it, is one of the open Internet."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _CLOSED_4)
    return _is_public_6(ip)


def _is_public_6(ip: IPv6Address) -> bool:
    scoped = ip.scope_id is not None
    return not scoped and ip in _OPEN_6 and not any(ip in network for network in _CLOSED_6)


def judge_url(text: str, *, allow_private: bool) -> httpx2.URL:
    """The URL, read by the very code that will connect to it.

    Args:
        text: As a person entered it.
        allow_private: ``WEBHOOK_ALLOW_PRIVATE``: any address, and ``http`` too.

    Raises:
        UrlRefused: It is none that may be sent to.
    """
    if len(text) > LONGEST:
        raise UrlRefused(f"A URL may have {LONGEST} characters.")
    if not text.isprintable() or " " in text or "\\" in text:
        raise UrlRefused("A URL has neither spaces, backslashes nor control characters.")
    try:
        url = httpx2.URL(text)
        port = url.port
    except (httpx2.InvalidURL, ValueError):
        raise UrlRefused("This is not a URL.") from None
    if url.scheme != "https" and not (allow_private and url.scheme == "http"):
        raise UrlRefused("The URL must begin with https://.")
    if port is not None and not 0 < port <= 65_535:
        raise UrlRefused("A port is a number from 1 to 65535.")
    if not url.host:
        raise UrlRefused("The URL names no host.")
    if url.userinfo:
        raise UrlRefused("The URL must not carry a user name or password: messages are signed.")
    if url.fragment:
        raise UrlRefused("The URL must not have a fragment (#…): it is never sent.")
    if not allow_private:
        _judge_outside(url.host, port)
    return url


def _judge_outside(host: str, port: int | None) -> None:
    """What can be said before a name is resolved; every address is judged again when connecting."""
    if port not in (None, HTTPS_PORT) and port < FIRST_FREE_PORT:
        raise UrlRefused(f"Port {port} is not for webhooks: 443, or one from 1024 on.")
    try:
        ip_address(host)
    except ValueError:
        if host.rstrip(".").rpartition(".")[2] in ("", "localhost", "local", "internal"):
            raise UrlRefused(f"{host} is a name of the inside.") from None
        return
    if not is_public(host):
        raise UrlRefused(f"{host} is not an address of the open Internet.")
