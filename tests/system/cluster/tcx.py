# SPDX-License-Identifier: Apache-2.0
"""
Programs on the tcx hooks of this network namespace's devices, by BPF_PROG_QUERY: Debian 12's bpftool
is older than tcx and does not list them.
"""
import ctypes
import os
import platform
import socket

SYSCALL = {"x86_64": 321, "aarch64": 280}
BPF_PROG_QUERY = 16
HOOKS = {"tcx-ingress": 46, "tcx-egress": 47}
MOST = 64


class Query(ctypes.Structure):
    """The part of union bpf_attr that BPF_PROG_QUERY looks at."""

    _fields_ = [("target_ifindex", ctypes.c_uint32), ("attach_type", ctypes.c_uint32),
                ("query_flags", ctypes.c_uint32), ("attach_flags", ctypes.c_uint32),
                ("prog_ids", ctypes.c_uint64), ("count", ctypes.c_uint32),
                ("zero", ctypes.c_uint32), ("prog_attach_flags", ctypes.c_uint64),
                ("link_ids", ctypes.c_uint64), ("link_attach_flags", ctypes.c_uint64),
                ("revision", ctypes.c_uint64)]


def query(ifindex, attach_type):
    """Program ids; none where the kernel has no tcx."""
    ids = (ctypes.c_uint32 * MOST)()
    attr = Query(target_ifindex=ifindex, attach_type=attach_type, count=MOST,
                 prog_ids=ctypes.addressof(ids))
    libc = ctypes.CDLL(None, use_errno=True)
    number = SYSCALL[platform.machine()]
    if libc.syscall(number, BPF_PROG_QUERY, ctypes.byref(attr), ctypes.sizeof(attr)) != 0:
        error = ctypes.get_errno()
        if error == 22:
            return []
        raise OSError(error, f"query device {ifindex}: {os.strerror(error)}")
    return list(ids[:attr.count])


def programs():
    """["eth0 tcx-ingress 17", ...]"""
    return [f"{name} {hook} {number}" for ifindex, name in socket.if_nameindex()
            for hook, attach_type in HOOKS.items() for number in query(ifindex, attach_type)]


if __name__ == "__main__":
    for line in programs():
        print(line)
