"""Certificates for servers and clients of tests, created by OpenSSL's command."""

import shutil
import subprocess

HAS_OPENSSL = shutil.which("openssl") is not None


def make_certificate(folder, name, *, password=None):
    """Create a key, encrypted if there is a password, and a self-signed certificate for 127.0.0.1.

    Returns:
        The certificate's and the key's path.
    """
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", f"/CN={name}", "-out", str(certificate)]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(key)]
    command += ["-nodes"] if password is None else ["-passout", f"pass:{password}"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
