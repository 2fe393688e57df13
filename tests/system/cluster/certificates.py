# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of the test's own, by openssl; everything is valid for two days."""
import pathlib

from . import shell

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Files NAME.crt and NAME.key in a directory; its own are ca.crt and ca.key."""

    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        shell.run("openssl", "req", "-x509", *CURVE, "-subj", f"/CN=weir test {name}", "-days", "2",
                  "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                  "-keyout", self.key(name), "-out", self.certificate(name))

    def certificate(self, name="ca"):
        return str(self.directory / f"{name}.crt")

    def key(self, name):
        return str(self.directory / f"{name}.key")

    def issue(self, name, subject, usage, names=""):
        """subject: "/O=group/CN=user"; usage: serverAuth or clientAuth; names: "IP:10.0.0.1,DNS:a"."""
        request = str(self.directory / f"{name}.csr")
        extensions = ["-addext", f"extendedKeyUsage={usage}"]
        if names:
            extensions += ["-addext", f"subjectAltName={names}"]
        shell.run("openssl", "req", "-new", *CURVE, "-subj", subject, *extensions,
                  "-keyout", self.key(name), "-out", request)
        shell.run("openssl", "x509", "-req", "-in", request, "-days", "2", "-copy_extensions", "copy",
                  "-CA", self.certificate(self.name), "-CAkey", self.key(self.name),
                  "-CAcreateserial", "-out", self.certificate(name))


def signing_key(path):
    """For the tokens of service accounts."""
    shell.run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
              "-out", str(path))
