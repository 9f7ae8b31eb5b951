"""Events to Apache Kafka, or what speaks its protocol: the settings. The sink itself is in `kafka_sink`, with the client it needs."""

import logging
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from edge_hoi.errors import MissingDependencyError
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext
from edge_hoi.sinks.tls import TlsSettings

_logger = logging.getLogger(__name__)

Address = Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$")]
"""HOST:PORT; an IPv6 address stands in brackets."""


class SaslSettings(BaseModel):
    """Who the producer is, and how it shows it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    user: str = Field(min_length=1)
    password: SecretStr


class KafkaSettings(SinkSettings):
    """Events to a Kafka topic, one record each, with the camera as key: the events of a camera stay in order."""

    type: Literal["kafka"] = "kafka"
    batch_size: int = Field(500, ge=1, le=10_000, description="Most events handed over at once: a request waits for the brokers' disks")
    brokers: tuple[Address, ...] = Field(min_length=1, description="HOST:PORT of some of the cluster's brokers; they name the others")
    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")
    mode: Literal["structured", "binary"] = Field(
        "structured", description="structured: whole CloudEvents as values; binary: their attributes as `ce_` headers"
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    create_topic: bool = Field(False, description="A topic that is missing is created, where the brokers allow that")
    sasl: SaslSettings | None = None
    tls: TlsSettings | None = Field(None, description="`{}` for TLS with the certificates that the system trusts")
    client_id: str = Field("edge-hoi", min_length=1, max_length=200, description="How the brokers' logs and quotas call this program")
    timeout_seconds: float = Field(5.0, ge=1, le=30, description="Longest wait for the brokers")

    def make(self, context: SinkContext) -> Sink:  # noqa: ARG002
        """Make the sink."""
        try:
            from edge_hoi.sinks.kafka.sink import KafkaSink
        except ModuleNotFoundError as error:
            if error.name != "confluent_kafka":
                raise
            raise MissingDependencyError("a sink of type kafka needs confluent-kafka; pip install 'edge-hoi[kafka]'") from error
        if self.sasl and self.sasl.mechanism == "PLAIN" and not self.tls:
            _logger.warning("sink %s sends its password in clear: add `tls: {}`, or use a SCRAM mechanism", self.sink_name)
        return KafkaSink(
            self.topic,
            self.client_settings(),
            is_binary=self.mode == "binary",
            create_topic=self.create_topic,
            timeout_seconds=self.timeout_seconds,
            secrets=self._secrets(),
        )

    def client_settings(self) -> dict[str, str | int | float | bool]:
        """Say in librdkafka's words where the brokers are and how to talk to them; passwords are in clear."""
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
