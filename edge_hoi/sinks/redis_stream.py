"""Events in a Redis stream."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SecretStr

from edge_hoi.errors import MissingDependencyError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks.connection_failure import failure_of_connection
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext
from edge_hoi.sinks.tls import TlsSettings

if TYPE_CHECKING:
    pass

_MAY_PASS = ("MISCONF", "NOREPLICAS", "BUSY", "UNKILLABLE")
"""First words of what a server says while its disk or its replicas are away, or a script runs: errors without a class of their own."""


class RedisSettings(SinkSettings):
    """Events in a Redis stream, an entry each."""

    type: Literal["redis"] = "redis"
    host: str = Field("localhost", min_length=1)
    port: int = Field(6379, ge=1, le=65535)
    database: int = Field(0, ge=0)
    user: str | None = None
    password: SecretStr | None = None
    tls: TlsSettings | None = Field(None, description="{} for TLS with the system's authorities; null speaks without TLS")
    stream: str = Field("edge-hoi:events", min_length=1, description="The stream's key")
    max_length: int = Field(100_000, ge=1, description="About so many newest entries are kept")
    timeout_seconds: float = Field(5.0, gt=0, le=60)

    def make(self, context: SinkContext) -> "RedisStreamSink":  # noqa: ARG002 — every run appends in the same way
        """Make the sink."""
        return RedisStreamSink(
            self.host,
            self.port,
            stream=self.stream,
            max_length=self.max_length,
            database=self.database,
            user=self.user,
            password=self.password.get_secret_value() if self.password else None,
            tls=self.tls,
            timeout_seconds=self.timeout_seconds,
        )


class RedisStreamSink(Sink):
    """Appends events to a stream (XADD), each batch in one transaction: all of it or nothing.

    An entry has the fields `source`, `id` and `type`, to filter by, and the whole `cloudevent`.
    """

    def __init__(
        self,
        host: str,
        port: int = 6379,
        *,
        stream: str = "edge-hoi:events",
        max_length: int = 100_000,
        database: int = 0,
        user: str | None = None,
        password: str | None = None,
        tls: TlsSettings | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        """Check the arguments.

        Args:
            host: Name or address of the server.
            port: Its port.
            stream: The stream's key.
            max_length: About so many entries are kept; Redis cuts where it is cheap.
            database: The database's number.
            user: Name of the account (ACL); None for the default one.
            password: Its password.
            tls: Certificates; None speaks without TLS.
            timeout_seconds: Longest time for a connection, and longest silence.

        Raises:
            SinkFaultError: A file of `tls` cannot be used.
            MissingDependencyError: The client library is not installed.
        """
        try:
            import redis
        except ImportError as error:
            raise MissingDependencyError("a Redis stream needs the redis client; pip install 'edge-hoi[redis]'") from error
        self._errors = (redis.RedisError, OSError)
        self._place = f"redis{'s' if tls else ''}://{host}:{port}"
        self._stream = stream
        self._max_length = max_length
        self._arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "db": database,
            "username": user,
            "password": password,
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
        } | _tls_arguments(tls)
        self._client: redis.Redis | None = None

    def open(self) -> None:
        """Connect and log in.

        Raises:
            SinkUnavailableError: Not now.
            SinkFaultError: A password, a permission or a certificate is not right.
        """
        if self._client is not None:
            return
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._client = redis.Redis(**self._arguments, retry=Retry(NoBackoff(), 0))
        try:
            self._client.ping()
        except self._errors as error:
            self.close()
            raise self._failure(error) from None

    def deliver(self, messages: Sequence[Message]) -> None:
        """Append some events.

        Args:
            messages: In order; may be none.

        Raises:
            SinkUnavailableError: None of them is known to be taken.
            SinkFaultError: None can be, until someone mends something.
        """
        if not messages:
            return
        assert self._client is not None
        pipeline = self._client.pipeline(transaction=True)
        for message in messages:
            envelope = json.loads(message.body)
            fields: dict[Any, Any] = {name: envelope[name] for name in ("source", "id", "type")} | {"cloudevent": message.body}
            pipeline.xadd(self._stream, fields, maxlen=self._max_length, approximate=True)
        try:
            pipeline.execute()
        except self._errors as error:
            self.close()
            raise self._failure(error) from None

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _failure(self, error: Exception) -> SinkError:
        from redis import exceptions

        said = f"{self._place}: {error}"
        if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError | exceptions.NoPermissionError):
            return SinkFaultError(f"{said}; check user and password, and that the account may XADD to the key {self._stream}")
        if isinstance(error, exceptions.OutOfMemoryError):
            return SinkUnavailableError(f"{said}; give it more memory or less to keep")
        passing = (exceptions.BusyLoadingError, exceptions.ReadOnlyError, exceptions.ClusterError, exceptions.TryAgainError)
        if isinstance(error, passing) or str(error).startswith(_MAY_PASS):
            return SinkUnavailableError(said)
        if isinstance(error, exceptions.ResponseError):
            return SinkFaultError(f"{said}; is the key {self._stream} a stream, and the server one of Redis 5 or newer?")
        return failure_of_connection(error, self._place)


def _tls_arguments(tls: TlsSettings | None) -> dict[str, Any]:
    """Say in the client's words what the settings say; their files are tried, for it names none that it cannot use."""
    if tls is None:
        return {}
    tls.context()
    return {
        "ssl": True,
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.verify,
        "ssl_ca_certs": tls.ca_file,
        "ssl_certfile": tls.certificate_file,
        "ssl_keyfile": tls.key_file,
        "ssl_password": tls.key_password.get_secret_value() if tls.key_password else "",
    }
