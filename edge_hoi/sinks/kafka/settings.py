"""Settings of a Kafka sink: `type: kafka` in a configuration."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from edge_hoi.config_types import Section
from edge_hoi.masking import get_logger
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext
from edge_hoi.sinks.tls import TlsSettings

_logger = get_logger(__name__)

Address = Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$")]
"""HOST:PORT; an IPv6 address in brackets."""


class SaslSettings(Section):
    """How the producer authenticates."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    user: str = Field(min_length=1)
    password: SecretStr


class KafkaSettings(SinkSettings):
    """Events to a Kafka topic, one record each, with the camera as key: the events of a camera stay in order."""

    type: Literal["kafka"] = "kafka"
    batch_size: int = Field(500, ge=1, le=10_000, description="Most events delivered at once: a request waits for the brokers' disks")
    brokers: tuple[Address, ...] = Field(min_length=1, description="HOST:PORT of some of the cluster's brokers, which list the others")
    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")
    mode: Literal["structured", "binary"] = Field(
        "structured", description="structured: whole CloudEvents as values; binary: their attributes as `ce_` headers"
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    create_topic: bool = Field(False, description="Create a missing topic, where the brokers allow it")
    sasl: SaslSettings | None = None
    tls: TlsSettings | None = Field(None, description="`{}` for TLS with the certificates that the system trusts")
    client_id: str = Field("edge-hoi", min_length=1, max_length=200, description="Name of this program in the brokers' logs and quotas")
    timeout_seconds: float = Field(5.0, ge=1, le=30, description="Longest wait for the brokers")

    def make(self, context: SinkContext) -> Sink:  # noqa: ARG002
        """Create the sink."""
        self._require("confluent_kafka")
        from edge_hoi.sinks.kafka.sink import KafkaSink

        if self.sasl and self.sasl.mechanism == "PLAIN" and not self.tls:
            _logger.warning("sink %s sends its password unencrypted: add `tls: {}`, or use a SCRAM mechanism", self.sink_name)
        return KafkaSink(
            self.topic,
            self.client_settings(),
            is_binary=self.mode == "binary",
            create_topic=self.create_topic,
            timeout_seconds=self.timeout_seconds,
            secrets=self._secrets(),
        )

    def client_settings(self) -> dict[str, str | int | float | bool]:
        """Convert the settings to librdkafka's, with passwords in plain text."""
        settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": ",".join(self.brokers),
            "security.protocol": f"{'SASL_' if self.sasl else ''}{'SSL' if self.tls else 'PLAINTEXT'}",
            "client.id": self.client_id,
            "compression.type": self.compression,
        }
        if self.sasl:
            settings |= {
                "sasl.mechanism": self.sasl.mechanism,
                "sasl.username": self.sasl.user,
                "sasl.password": self.sasl.password.get_secret_value(),
            }
        if self.tls:
            settings["enable.ssl.certificate.verification"] = self.tls.verify
            files = {"ssl.ca.location": self.tls.ca_file, "ssl.certificate.location": self.tls.certificate_file}
            files["ssl.key.location"] = self.tls.key_file or self.tls.certificate_file
            settings |= {name: path for name, path in files.items() if path}
            if self.tls.key_password:
                settings["ssl.key.password"] = self.tls.key_password.get_secret_value()
        return settings

    def _secrets(self) -> tuple[str, ...]:
        secrets = (self.sasl.password if self.sasl else None, self.tls.key_password if self.tls else None)
        return tuple(secret.get_secret_value() for secret in secrets if secret)
