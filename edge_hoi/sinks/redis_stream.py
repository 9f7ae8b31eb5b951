"""Events in a Redis stream."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SecretStr

from edge_hoi.errors import SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks.bounded_socket import BoundedSocket
from edge_hoi.sinks.connection_failure import connection_failure, excerpt
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext
from edge_hoi.sinks.tls import TlsSettings

if TYPE_CHECKING:
    import redis

_TEMPORARY = ("MISCONF", "NOREPLICAS", "BUSY", "UNKILLABLE")
"""Prefixes of errors without a class of their own, of a server whose disk or replicas are unavailable, or that runs a script."""
_MAX_ANSWER_BYTES = 1 << 20
"""The answer to the largest batch, 10 000 entry ids, has about 400 kB."""
_NO_REDIS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What the client raises where an answer is not of the protocol, besides errors of its own."""


class RedisSettings(SinkSettings):
    """Events in a Redis stream, one entry each."""

    type: Literal["redis"] = "redis"
    host: str = Field("localhost", min_length=1)
    port: int = Field(6379, ge=1, le=65535)
    database: int = Field(0, ge=0)
    user: str | None = None
    password: SecretStr | None = None
    tls: TlsSettings | None = Field(None, description="{} for TLS with the system's authorities; null for no TLS")
    stream: str = Field("edge-hoi:events", min_length=1, description="The stream's key")
    max_length: int = Field(100_000, ge=1, description="About how many of the newest entries are kept")
    timeout_seconds: float = Field(5.0, gt=0, le=60)

    def make(self, context: SinkContext) -> "RedisStreamSink":  # noqa: ARG002 — all runs append alike
        """Create the sink."""
        self._require("redis")
        return RedisStreamSink(self._client_arguments(), stream=self.stream, max_length=self.max_length)

    def _client_arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "db": self.database,
            "username": self.user,
            "password": self.password.get_secret_value() if self.password else None,
            "socket_timeout": self.timeout_seconds,
            "socket_connect_timeout": self.timeout_seconds,
        }
        if self.tls is not None:
            self.tls.context()  # checks the files: the client's errors do not name an invalid one
            arguments |= {
                "ssl": True,
                "ssl_cert_reqs": "required" if self.tls.verify else "none",
                "ssl_check_hostname": self.tls.verify,
                "ssl_ca_certs": self.tls.ca_file,
                "ssl_certfile": self.tls.certificate_file,
                "ssl_keyfile": self.tls.key_file,
                "ssl_password": self.tls.key_password.get_secret_value() if self.tls.key_password else "",
            }
        return arguments


class RedisStreamSink(Sink):
    """Appends events to a stream (XADD), each batch in one transaction: all of it or none.

    An entry has the fields `source`, `id` and `type`, to filter by, and the whole `cloudevent`.
    """

    def __init__(self, client: Mapping[str, Any], *, stream: str = "edge-hoi:events", max_length: int = 100_000) -> None:
        """Prepare the sink.

        Args:
            client: Arguments of `redis.Redis`, among them `host` and `port`.
            stream: The stream's key.
            max_length: About how many of the newest entries are kept; Redis trims in whole blocks.
        """
        import redis

        self._errors = (redis.RedisError, OSError, *_NO_REDIS)
        self._place = f"redis{'s' if client.get('ssl') else ''}://{client['host']}:{client['port']}"
        self._stream = stream
        self._max_length = max_length
        self._arguments = dict(client)
        self._secrets = [str(client[name]) for name in ("password", "ssl_password") if client.get(name)]
        self._client: redis.Redis | None = None

    def open(self) -> None:
        """Connect and log in.

        Raises:
            SinkUnavailableError: The server cannot be reached, or is overloaded.
            SinkFaultError: A password, a permission or a certificate is wrong.
        """
        if self._client is not None:
            return
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        arguments = {**self._arguments, "retry": Retry(NoBackoff(), 0), "max_connections": 1}
        self._client = redis.Redis.from_pool(redis.ConnectionPool(_bounded_connection(arguments.pop("ssl", False)), **arguments))
        try:
            self._client.ping()
        except self._errors as error:
            self.close()
            raise self._failure(error) from None

    def deliver(self, messages: Sequence[Message]) -> None:
        """Append events.

        Raises:
            SinkUnavailableError: None of them is known to be appended.
            SinkFaultError: None can be appended without operator action.
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

        text = f"{self._place}: {excerpt(str(error), self._secrets)}"
        if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError | exceptions.NoPermissionError):
            return SinkFaultError(f"{text}; check user and password, and that the account may XADD to the key {self._stream}")
        if isinstance(error, exceptions.OutOfMemoryError):
            return SinkUnavailableError(f"{text}; raise its maxmemory, or reduce its data")
        temporary = (exceptions.BusyLoadingError, exceptions.ReadOnlyError, exceptions.ClusterError, exceptions.TryAgainError)
        if isinstance(error, temporary) or str(error).startswith(_TEMPORARY):
            return SinkUnavailableError(text)
        if isinstance(error, exceptions.ResponseError):
            return SinkFaultError(f"{text}; is the key {self._stream} a stream, and the server Redis 5 or newer?")
        if isinstance(error, _NO_REDIS):
            return SinkUnavailableError(f"{text}; this is no answer of Redis: is it another server, or its port with TLS?")
        return connection_failure(error, self._place)


def _bounded_connection(is_tls: bool) -> "type[redis.Connection]":
    """Return the client's class of connections, with limits to what a server may answer."""
    import redis

    base: Any = redis.SSLConnection if is_tls else redis.Connection

    class BoundedConnection(base):  # type: ignore[misc]  # the module is imported only here
        def _connect(self) -> BoundedSocket:
            return BoundedSocket(super()._connect(), max_bytes=_MAX_ANSWER_BYTES, seconds=2 * self.socket_timeout)

    return BoundedConnection
