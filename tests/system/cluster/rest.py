# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes API by HTTP, for what kubectl cannot do or would take too long for."""
import http.client
import json
import ssl

from . import netns

TIMEOUT = 20
RESOURCES = {"Service": ("/api/v1", "services"), "Node": ("/api/v1", "nodes"),
             "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
             "Event": ("/api/v1", "events"), "Secret": ("/api/v1", "secrets"),
             "ServiceAccount": ("/api/v1", "serviceaccounts")}


class Refused(Exception):
    """The server's Status, as an answer."""

    def __init__(self, method, path, code, text):
        super().__init__(f"{method} {path}: {code} {text[:300]}")
        self.code = code


def collection_of(object_):
    """Where objects of its kind are created."""
    prefix, plural = RESOURCES[object_["kind"]]
    if object_["kind"] == "Node":
        return f"{prefix}/{plural}"
    return f"{prefix}/namespaces/{object_['metadata'].get('namespace', 'default')}/{plural}"


def path_of(object_):
    return f"{collection_of(object_)}/{object_['metadata']['name']}"


class Client:
    """server: (address, port); certificate: (file, key's file) of the client, if it has one."""

    def __init__(self, namespace, server, authority, certificate=None, token=None):
        context = ssl.create_default_context(cafile=authority)
        if certificate:
            context.load_cert_chain(*certificate)
        self.headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.connection = http.client.HTTPSConnection(*server, context=context, timeout=TIMEOUT)
        netns.call(namespace, self.connection.connect)
        self.connection.auto_open = False  # a later one would not be over there

    def close(self):
        self.connection.close()

    def call(self, method, path, body=None, content_type=None):
        """The object that is answered; Refused for a status from 400 on."""
        headers = self.headers | ({"Content-Type": content_type} if content_type else {})
        text = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, path, text, headers)
            answer = self.connection.getresponse()
            data = answer.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        if answer.status >= 400:
            raise Refused(method, path, answer.status, data)
        return json.loads(data) if data.startswith("{") else data

    def create(self, object_):
        return self.call("POST", collection_of(object_), object_)

    def replace(self, object_):
        """Whatever version is there."""
        current = self.call("GET", path_of(object_))
        metadata = object_["metadata"] | {"resourceVersion": current["metadata"]["resourceVersion"]}
        return self.call("PUT", path_of(object_), object_ | {"metadata": metadata})

    def patch(self, kind, name, change):
        """A merge patch on an object of the namespace default, or a Node."""
        path = path_of({"kind": kind, "metadata": {"name": name}})
        return self.call("PATCH", path, change, "application/merge-patch+json")

    def delete(self, kind, name):
        return self.call("DELETE", path_of({"kind": kind, "metadata": {"name": name}}))
