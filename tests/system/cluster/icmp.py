# SPDX-License-Identifier: Apache-2.0
"""What a client learns from ICMP, and datagrams larger than any link."""
import errno
import ipaddress
import json
import os
import select
import socket
import struct
import time

from . import client

# Of the kernel's headers, for both families; the socket module has not all of them.
IP_MTU_DISCOVER, IP_RECVERR, IP_MTU = 10, 11, 14
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR = 23, 24, 25
PMTUDISC_DO = 2
MSG_ERRQUEUE = 0x2000
ECHO = {4: (8, 0), 6: (128, 129)}  # request, reply
EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err
OFFENDER = {4: slice(20, 24), 6: slice(24, 40)}  # of the sockaddr behind it


def option(opened, four, six, value=None):
    """Sets (or, without a value, gets) an option that each family has under a number of its own."""
    level, name = ((socket.IPPROTO_IPV6, six) if opened.family == socket.AF_INET6
                   else (socket.IPPROTO_IP, four))
    if value is None:
        return opened.getsockopt(level, name)
    return opened.setsockopt(level, name, value)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def echo(address, size=56, timeout=1.0):
    """One ping: how many bytes came back with the right payload, and from which address."""
    family = 6 if ":" in address else 4
    request, wanted = ECHO[family]
    number, payload = os.getpid() & 0xffff, os.urandom(size)
    message = struct.pack("!BBHHH", request, 0, 0, number, 1) + payload
    if family == 4:  # the kernel computes IPv6's
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    proto = socket.IPPROTO_ICMPV6 if family == 6 else socket.IPPROTO_ICMP
    with socket.socket(client.family_of(address), socket.SOCK_RAW, proto) as opened:
        opened.sendto(message, (address, 0))
        end = time.monotonic() + timeout
        while select.select([opened], [], [], max(0, end - time.monotonic()))[0]:
            data, peer = opened.recvfrom(65536)
            if family == 4:
                data = data[(data[0] & 0xf) * 4:]
                if checksum(data):
                    continue
            if data[0] == wanted and data[4:6] == struct.pack("!H", number) and data[8:] == payload:
                return {"error": None, "from": peer[0]}
    return {"error": "timeout", "from": None}


def time_exceeded(address, port, hops, timeout=1.0):
    """Sends a datagram of so many hops; who says that they were too few, and about which address."""
    with client.connect("udp", address, port, timeout) as opened:
        option(opened, socket.IP_TTL, socket.IPV6_UNICAST_HOPS, hops)
        option(opened, IP_RECVERR, IPV6_RECVERR, 1)
        opened.send(b"who")
        waiting = select.poll()
        waiting.register(opened, 0)  # POLLERR comes unasked
        if not waiting.poll(timeout * 1000):
            return {"error": "timeout"}
        return told(opened)


def told(opened):
    """The error that waits on a socket: its kind, who sent it, and about what."""
    quoted, ancillary, _, about = opened.recvmsg(4096, 512, MSG_ERRQUEUE)
    error = ancillary[0][2]
    family = 6 if opened.family == socket.AF_INET6 else 4
    number, _, kind, code, _, _, _ = EXTENDED_ERROR.unpack_from(error)
    return {"error": errno.errorcode[number], "type": kind, "code": code, "about": about[0],
            "from": str(ipaddress.ip_address(error[OFFENDER[family]])), "quoted": quoted.hex()}


def path_mtu(address, port, size, small, timeout=0.3, tries=8):
    """
    Sends datagrams that may not be fragmented until the kernel has learned that they are too large,
    then a small one. The MTU that was learned (None: it never was), and whether that was answered.
    """
    with client.connect("udp", address, port, timeout) as opened:
        option(opened, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO)
        learned = None
        for _ in range(tries):
            try:
                opened.send(b"x" * size)
                opened.recv(65536)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    learned = option(opened, IP_MTU, IPV6_MTU)
                    break
        answered = any(exchanged(opened, "y" * small) for _ in range(tries))
        return {"mtu": learned, "answered": answered}


def exchanged(opened, text):
    """Whether a datagram came there and back as it was."""
    try:
        opened.send(text.encode())
        return json.loads(opened.recv(65536))["text"] == text
    except (OSError, KeyError, ValueError):
        return False


def datagrams(address, port, sizes, timeout=0.7, tries=4):
    """Which of these sizes got through and back; a path may have to learn its MTU first."""
    with client.connect("udp", address, port, timeout) as opened:
        return [size for size in sizes
                if any(exchanged(opened, letters(size)) for _ in range(tries))]


def letters(size):
    return "".join(chr(ord("a") + at * 7 % 26) for at in range(size))
