"""Keys and certificates of the simulated Google Cloud: all of them are made here, for nobody."""

from __future__ import annotations

import datetime
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

import gcp_catalog as catalog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from gcp_accounts import OWNER

AUTHORITY = "authority.pem"
CREDENTIALS = "credentials.json"

_BOTO = """\
[Boto]
ca_certificates_file = {authority}
https_validate_certificates = True
num_retries = 3
[GoogleCompute]
service_account = default
[GSUtil]
default_api_version = 2
default_project_id = {project}
software_update_check_period = 0
"""


def make(directory: Path, port: int, names: Sequence[str], addresses: Sequence[str]) -> Path:
    """Write what clients need, and return the server's certificate with its key.

    Parameters
    ----------
    directory
        Where: ``authority.pem``, whom to trust; ``credentials.json``, a key of a service account;
        ``boto``, the configuration of gsutil.
    port
        Where tokens are given.
    names, addresses
        What the certificate is for.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ours, server = _key(), _key()
    name = _name("Simulated Google Cloud")
    authority = _certificate(
        name, name, ours, ours, [x509.BasicConstraints(ca=True, path_length=0)]
    )
    known: list[x509.GeneralName] = [x509.DNSName(text) for text in names]
    known += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses]
    kinds = [x509.SubjectAlternativeName(known), x509.BasicConstraints(ca=False, path_length=None)]
    certificate = _certificate(_name(names[0]), name, server, ours, kinds)
    _write(directory / AUTHORITY, _pem(authority))
    _write(directory / "server.pem", _private(server) + _pem(certificate), mode=0o600)
    _write(directory / "boto", _BOTO.format(
        authority=directory / AUTHORITY, project=catalog.PROJECT).encode())  # fmt: skip
    credentials = {
        "type": "service_account",
        "project_id": catalog.PROJECT,
        "private_key_id": "0123456789abcdef0123456789abcdef01234567",
        "private_key": _private(ours).decode(),
        "client_email": OWNER,
        "client_id": "100000000000000000000",
        "token_uri": f"http://127.0.0.1:{port}/token",
    }
    _write(directory / CREDENTIALS, json.dumps(credentials, indent=2).encode())
    return directory / "server.pem"


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPrivateKey,
    signer: rsa.RSAPrivateKey,
    extensions: Sequence[x509.ExtensionType],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        # Without these two, OpenSSL of Python 3.13 believes none.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    for extension in extensions:
        critical = isinstance(extension, x509.BasicConstraints)
        builder = builder.add_extension(extension, critical=critical)
    if issuer == subject:
        builder = builder.add_extension(_usage_of_an_authority(), critical=True)
    return builder.sign(signer, hashes.SHA256())


def _usage_of_an_authority() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file in one step: who has an old one goes on with that."""
    new = path.with_suffix(".new")
    new.touch(mode=mode)
    new.write_bytes(data)
    new.replace(path)
