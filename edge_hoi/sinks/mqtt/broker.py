"""An MQTT broker's address, credentials and time limits."""

from dataclasses import dataclass

from pydantic import SecretStr

from edge_hoi.sinks.tls import TlsSettings


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker, and how this client connects to it.

    Attributes:
        host: Host name or address.
        port: TCP port.
        client_id: Unique among the broker's clients: it disconnects another client with the same id.
        version: MQTT version.
        user: User name; None for none.
        password: Password; None for none.
        tls: Read again for each connection; None for no TLS.
        keepalive_seconds: The broker considers the client dead after 1.5 times this long without a packet.
        timeout_seconds: Longest wait for an answer of the broker.
    """

    host: str
    port: int
    client_id: str
    version: str = "5"
    user: str | None = None
    password: SecretStr | None = None
    tls: TlsSettings | None = None
    keepalive_seconds: int = 60
    timeout_seconds: float = 5.0

    def __str__(self) -> str:
        """Name it in messages."""
        return f"MQTT broker {self.host}:{self.port}"
