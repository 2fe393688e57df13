# SPDX-License-Identifier: Apache-2.0
"""Removes what clusters left behind: python3 -m cluster.cleanup [--prefix NAME]."""
import argparse
import os
import shutil
import signal
import tempfile
import time

from . import names, shell


def entries(directory, prefix):
    try:
        found = os.listdir(directory)
    except FileNotFoundError:
        return []
    return [name for name in found if names.owner(name, prefix) is not None]


def kill_processes(namespace):
    """Ends every process inside one of our namespaces; nobody else's can be there."""
    for _ in range(20):
        pids = shell.run("ip", "netns", "pids", namespace, check=False).split()
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


def remove_namespace(namespace):
    kill_processes(namespace)
    shell.run("ip", "netns", "del", namespace, check=False)


def remove_cluster(cluster_id):
    """
    Namespaces first: their devices take the programs on them along. Links to the root cgroup end
    with their pins, which are all that is left to hold them.
    """
    prefix = cluster_id.rsplit("-", 1)[0]
    for namespace in entries(names.NETNS, prefix):
        if namespace.startswith(cluster_id + "-"):
            remove_namespace(namespace)
    for directory in (names.BPFFS, tempfile.gettempdir()):
        for name in entries(directory, prefix):
            if name.startswith(cluster_id + "-"):
                shutil.rmtree(os.path.join(directory, name), ignore_errors=True)


def stale(prefix=names.PREFIX):
    """Clusters whose process is gone."""
    found = set()
    for directory in (names.NETNS, names.BPFFS, tempfile.gettempdir()):
        for name in entries(directory, prefix):
            if not names.alive(names.owner(name, prefix)):
                found.add(f"{prefix}-{names.owner(name, prefix)}")
    return sorted(found)


def remove_stale(prefix=names.PREFIX):
    for cluster_id in stale(prefix):
        remove_cluster(cluster_id)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", default=names.PREFIX)
    prefix = parser.parse_args().prefix
    for cluster_id in stale(prefix):
        print(f"removing what {cluster_id} left")
        remove_cluster(cluster_id)


if __name__ == "__main__":
    main()
