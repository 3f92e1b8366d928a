"""Which network addresses a fetch may connect to: public ones, judged after name
resolution and never by their text.

`ipaddress.is_global` alone is not the test: it passes NAT64 and 6to4 addresses that
lead to private ones, multicast, and cloud metadata addresses.
https://www.iana.org/assignments/iana-ipv4-special-registry
"""

import asyncio
import ipaddress
import socket

from mcp_notebook.server.tool_errors import ToolError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3",
        "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2002::/16", "3fff::/20", "5f00::/16",
        "fec0::/10",
    )
)  # fmt: skip


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host name by the system's resolver; raises `ToolError` when
    there are none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise ToolError(f"The host {host!r} cannot be found.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether the address is one of the public internet, and so is any IPv4 address inside it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a zone ("fe80::1%eth0") or no address at all
        return False
    inner = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return _public(inner or parsed)


def _public(address: IPAddress) -> bool:
    listed = any(
        address in network for network in _REFUSED if network.version == address.version
    )
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not listed
    )
