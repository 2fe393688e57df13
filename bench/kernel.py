# SPDX-License-Identifier: Apache-2.0
"""bpf(2) as far as the bench needs it: pinned objects, their values and their facts."""
import ctypes
import os
import platform
import struct

CALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOOKUP, OBJ_GET, INFO = 1, 7, 15
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    data = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(CALL, command, data, 128)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Pinned:
    """An open descriptor of a pinned map or program."""

    def __init__(self, path):
        name = ctypes.create_string_buffer(os.fsencode(path))
        self.fd = bpf(OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        os.close(self.fd)

    def lookup(self, index, size):
        key, value = ctypes.c_uint32(index), ctypes.create_string_buffer(size)
        bpf(LOOKUP, struct.pack("=IIQQQ", self.fd, 0, ctypes.addressof(key),
                                ctypes.addressof(value), 0))
        return value.raw

    def word(self, index):
        """Of an array of 32-bit values."""
        return struct.unpack("=I", self.lookup(index, 4))[0]

    def by_cpu(self, index):
        """Of a per-CPU array of 64-bit counters; more room than any machine has CPUs."""
        return struct.unpack("=4096Q", self.lookup(index, 4096 * 8))

    def total(self, index):
        return sum(self.by_cpu(index))

    def program(self):
        """Facts of struct bpf_prog_info."""
        info = ctypes.create_string_buffer(232)
        bpf(INFO, struct.pack("=IIQ", self.fd, 232, ctypes.addressof(info)))
        jited, xlated = struct.unpack_from("=II", info, 16)
        run_ns, runs = struct.unpack_from("=QQ", info, 192)
        return {"xlated_bytes": xlated, "jited_bytes": jited, "run_ns": run_ns, "runs": runs,
                "verified_insns": struct.unpack_from("=I", info, 216)[0]}


def program(path):
    with Pinned(path) as pinned:
        return pinned.program()
