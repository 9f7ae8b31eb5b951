"""Settings of an encrypted connection, and the `ssl` context that they make."""

import ssl

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from edge_hoi.errors import ConfigError
from edge_hoi.fields import Location


class TlsSettings(BaseModel):
    """TLS 1.2 or newer; the other side's certificate and name are verified."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca: Location | None = Field(None, description="PEM file of the authorities that are trusted; the system's where absent")
    certificate: Location | None = Field(None, description="PEM file of this client's certificate, with those between it and its CA")
    key: Location | None = Field(None, description="PEM file of the certificate's key; where absent, it is in the certificate's file")
    key_password: SecretStr | None = Field(None, description="Of an encrypted key")
    verify: bool = Field(True, description="Off, anybody can pose as the other side and read along: for a bench only")


def make_context(tls: TlsSettings) -> ssl.SSLContext:
    """Make the context of connections to a server.

    Args:
        tls: Its files are read now.

    Raises:
        ConfigError: A file cannot be read, or does not hold what it should.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:
        raise ConfigError(f"`tls.ca` is a PEM file of certificates, {tls.ca} cannot be read as one: {_reason(error)}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.key and not tls.certificate:
        raise ConfigError("`tls.key` belongs to a `tls.certificate`, which is missing; name both")
    if tls.certificate:
        # With a password of its own, be it empty, OpenSSL does not ask for one on the terminal.
        password = tls.key_password.get_secret_value() if tls.key_password else ""
        try:
            context.load_cert_chain(tls.certificate, tls.key, password)
        except OSError as error:
            raise ConfigError(
                f"`tls.certificate` {tls.certificate} and `tls.key` {tls.key or '(in the same file)'} do not make a client's certificate: "
                f"{_reason(error)}; both are PEM files, and an encrypted key needs its `key_password`"
            ) from error
    return context


def _reason(error: OSError) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__
