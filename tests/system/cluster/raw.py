# SPDX-License-Identifier: Apache-2.0
"""Packets that no ordinary socket sends, and what a namespace counted of the answers."""
import socket
import struct

from . import client, icmp

IPV6_CHECKSUM = 7
TCP_CHECKSUM_AT = 16
TCP_ACK = 0x10
listening = {}


def raw_open(name, family, proto):
    """Receives every packet of a protocol that arrives for this namespace."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    listening[name] = socket.socket(kind, socket.SOCK_RAW, proto)


def raw_read(name, timeout=1.0):
    """The next one: what is behind the IP header, in hex, and whose it is."""
    opened = listening[name]
    opened.settimeout(timeout)
    try:
        data, peer = opened.recvfrom(65536)
    except TimeoutError:
        return {"error": "timeout", "data": None, "from": None}
    if opened.family == socket.AF_INET:
        data = data[(data[0] & 0xf) * 4:]
    return {"error": None, "data": data.hex(), "from": peer[0]}


def raw_close(name):
    listening.pop(name).close()


def raw_send(address, proto, data):
    """data: hex, from behind the IP header on."""
    with socket.socket(client.family_of(address), socket.SOCK_RAW, proto) as opened:
        opened.sendto(bytes.fromhex(data), (address, 0))


def stray_segment(address, port, source_port):
    """A TCP segment with numbers that belong to no connection, sent past this end's own TCP."""
    header = struct.pack("!HHIIBBHHH", source_port, port, 0x12345678, 0x9abcdef0, 5 << 4, TCP_ACK,
                         1024, 0, 0)
    with socket.socket(client.family_of(address), socket.SOCK_RAW, socket.IPPROTO_TCP) as opened:
        opened.connect((address, 0))
        if opened.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, TCP_CHECKSUM_AT)
        else:
            ends = (opened.getsockname()[0], address)
            pseudo = b"".join(map(socket.inet_aton, ends)) + struct.pack("!HH", socket.IPPROTO_TCP, len(header))
            checksum = struct.pack("!H", icmp.checksum(pseudo + header))
            header = header[:TCP_CHECKSUM_AT] + checksum + header[TCP_CHECKSUM_AT + 2:]
        opened.send(header)


def tcp_counter(name):
    """Of /proc/net/snmp, both families together."""
    with open("/proc/net/snmp", encoding="ascii") as counters:
        names, values = [line.split() for line in counters if line.startswith("Tcp:")]
    return int(values[names.index(name)])
