# SPDX-License-Identifier: Apache-2.0
"""Commands, each with a timeout, in this namespace or in one of the cluster's."""
import subprocess

TIMEOUT = 20


class CommandFailed(Exception):
    pass


def run(*command, stdin=None, check=True, timeout=TIMEOUT):
    """Runs a command to its end and returns what it wrote on stdout."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def inside(namespace):
    """
    Prefix that runs a command in a network namespace and leaves everything else as it is:
    `ip netns exec` mounts another /sys and so hides bpffs.
    """
    return ("nsenter", f"--net=/run/netns/{namespace}")


def ip(namespace, *lines):
    """Lines of `ip` commands, all or nothing in order."""
    if lines:
        run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(lines) + "\n")


def sysctl(namespace, **values):
    """sysctl(ns, net__ipv4__ip_forward=1); for names that are no identifiers use sysctls()."""
    sysctls(namespace, {name.replace("__", "/"): value for name, value in values.items()})


def sysctls(namespace, values):
    """Names with slashes, because device names may have dots."""
    run(*inside(namespace), "sysctl", "-q", "-w", *(f"{k}={v}" for k, v in values.items()))


def nft(namespace, script):
    run(*inside(namespace), "nft", "-f", "-", stdin=script)


def ethtool(namespace, device, *settings):
    run(*inside(namespace), "ethtool", "-K", device, *settings)
