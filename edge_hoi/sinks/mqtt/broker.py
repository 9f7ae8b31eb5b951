"""Which broker, and as whom."""

from dataclasses import dataclass

from pydantic import SecretStr

from edge_hoi.sinks.tls import TlsSettings


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach a broker, and as whom.

    Attributes:
        host: Name or address.
        port: TCP port.
        client_id: Unique among the broker's clients: it ends the connection of another with the same.
        version: Of the protocol.
        user: None for none.
        password: None for none.
        tls: None for a connection in the clear; its files are read anew for each connection.
        keepalive_seconds: After 1.5 times this long without a sign of life the broker takes the client for dead.
        timeout_seconds: How long the broker may stay silent when something is asked of it.
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
        """Name it for messages."""
        return f"MQTT broker {self.host}:{self.port}"
