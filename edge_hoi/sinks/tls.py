"""How a sink knows that it talks to the right server, and shows who it is: the settings of TLS."""

import logging
import ssl

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from typing_extensions import Self

from edge_hoi.config_types import Location
from edge_hoi.errors import SinkFaultError

_logger = logging.getLogger(__name__)


class TlsSettings(BaseModel):
    """Certificates; without any, servers are checked against the authorities that this system trusts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: Location | None = Field(None, description="Authorities (PEM) that are trusted instead of the system's")
    certificate_file: Location | None = Field(None, description="Certificate (PEM) to show to the server, its chain behind it")
    key_file: Location | None = Field(None, description="The certificate's private key (PEM); where absent, it is in the same file")
    key_password: SecretStr | None = Field(None, description="What the private key is encrypted with")
    verify: bool = Field(True, description="false takes any certificate: whoever is on the way can read and change everything")

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.certificate_file is None and (self.key_file or self.key_password):
            raise ValueError("a key is of use with its certificate only; name the `certificate_file`")
        return self

    def context(self) -> ssl.SSLContext:
        """Read the files, as they are now.

        Raises:
            SinkFaultError: A file cannot be read or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise _unreadable("ca_file", self.ca_file, error) from error
        if not self.verify:
            _logger.warning("`verify: false`: a sink does not check which server it talks to")
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_file is not None:
            # A password is given always: without one, OpenSSL would ask for it on the terminal and wait.
            password = self.key_password.get_secret_value() if self.key_password else ""
            try:
                context.load_cert_chain(self.certificate_file, self.key_file, password)
            except OSError as error:
                raise _unreadable("certificate_file, key_file and key_password", self.certificate_file, error) from error
        return context


def _unreadable(fields: str, path: str | None, error: OSError) -> SinkFaultError:
    """Say which settings to look at; an `ssl.SSLError` is an OSError as well."""
    what = "not PEM, or key and certificate do not fit" if isinstance(error, ssl.SSLError) else error.strerror
    return SinkFaultError(f"tls: cannot use {path}: {what}; check {fields}")
