# SPDX-License-Identifier: Apache-2.0
"""A kubeconfig with one cluster, one user and one context. JSON, which is YAML too."""
import json
import os
import pathlib


def write(path, server, authority, **user):
    """authority: file of the CA's certificate; user: fields of the user."""
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]}
    replace(path, json.dumps(config, indent=1))


def replace(path, text):
    """Whole, under the same name: as a kubelet replaces a token."""
    path = pathlib.Path(path)
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    os.rename(new, path)
