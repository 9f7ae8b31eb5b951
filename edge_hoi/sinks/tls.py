"""TLS settings: which servers a sink trusts, and the client certificate that it presents."""

import ssl

from pydantic import Field, SecretStr, model_validator
from typing_extensions import Self

from edge_hoi.config_types import Location, Section
from edge_hoi.errors import SinkFaultError
from edge_hoi.masking import get_logger

_logger = get_logger(__name__)


class TlsSettings(Section):
    """Certificates; by default, servers are verified against the authorities that this system trusts."""

    ca_file: Location | None = Field(None, description="Authorities (PEM) that are trusted instead of the system's")
    certificate_file: Location | None = Field(None, description="Client certificate (PEM), followed by its chain")
    key_file: Location | None = Field(None, description="The certificate's private key (PEM); where absent, it is in the same file")
    key_password: SecretStr | None = Field(None, description="Password of the private key")
    verify: bool = Field(True, description="false accepts any certificate: anyone on the network path can read and change everything")

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.certificate_file is None and (self.key_file or self.key_password):
            raise ValueError("a key needs its certificate; set `certificate_file`")
        return self

    def context(self) -> ssl.SSLContext:
        """Read the files as they are now.

        Raises:
            SinkFaultError: A file cannot be read or is invalid.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise _unusable("ca_file", self.ca_file, error) from error
        if not self.verify:
            _logger.warning("`verify: false`: a sink does not verify its server's certificate")
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_file is not None:
            # Always with a password: without one, OpenSSL would prompt for it on the terminal.
            password = self.key_password.get_secret_value() if self.key_password else ""
            try:
                context.load_cert_chain(self.certificate_file, self.key_file, password)
            except OSError as error:
                raise _unusable("certificate_file, key_file and key_password", self.certificate_file, error) from error
        return context


def _unusable(fields: str, path: str | None, error: OSError) -> SinkFaultError:
    what = "not PEM, or key and certificate do not match" if isinstance(error, ssl.SSLError) else error.strerror
    return SinkFaultError(f"tls: cannot use {path}: {what}; check {fields}")
