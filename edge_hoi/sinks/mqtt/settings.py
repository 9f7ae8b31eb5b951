"""Settings of an MQTT sink: `type: mqtt` in a configuration."""

import hashlib
import platform
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from typing_extensions import Self

from edge_hoi.sinks.mqtt.topics import Format, Topics
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext
from edge_hoi.sinks.tls import TlsSettings

TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", max_length=200)]
_PORT, _TLS_PORT = 1883, 8883
_ID_DIGITS = 12


class MqttSettings(SinkSettings):
    """Events to an MQTT broker, and, retained, the current interactions of every camera and zone."""

    type: Literal["mqtt"] = "mqtt"
    host: str = Field(pattern=r"^[^\s/@]+$", description="Name or address of the broker, without scheme and port")
    port: int | None = Field(None, ge=1, le=65535, description="1883, or 8883 with TLS, where absent")
    version: Annotated[Literal["5", "3.1.1"], BeforeValidator(str)] = Field("5", description="MQTT version; 5 reports refused messages")
    qos: Literal[0, 1, 2] = Field(1, description="0 at most once, 1 at least once, 2 exactly once within a connection")
    user: str | None = Field(None, min_length=1)
    password: SecretStr | None = None
    tls: TlsSettings | None = Field(None, description="{} for TLS with the system's authorities; no TLS where absent")
    client_id: str | None = Field(
        None, min_length=1, max_length=256, description="Unique at the broker; generated deterministically where absent"
    )
    prefix: TopicPrefix | None = Field(
        None, description="Start of all topics, unique for each program; edge-hoi, or frigate in that format"
    )
    format: Format = Field("cloudevents", description="CloudEvents in JSON, or Frigate's `events` messages")
    state: bool = Field(True, description="Also publish, retained, availability and current interactions")
    snapshots: bool = Field(True, description="Also publish, retained, the newest image of every camera, where `media` is configured")
    home_assistant: TopicPrefix | None = Field(
        None, description="Home Assistant's discovery prefix (homeassistant), to announce cameras and zones"
    )
    batch_size: int = Field(500, ge=1, le=10_000, description="Most events delivered at once, before the states are published")
    keepalive_seconds: int = Field(60, ge=5, le=3600, description="The broker considers a client dead after 1.5 times this long")
    timeout_seconds: float = Field(5.0, gt=0, le=30, description="Longest wait for an answer of the broker")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.password is not None and self.user is None:
            raise ValueError("a `password` needs a `user`")
        if self.home_assistant is not None and not self.state:
            raise ValueError("`home_assistant` needs the states, which `state: false` disables; remove one of the two")
        if self.camera_events and self.format == "frigate":
            raise ValueError(
                "Frigate's format has no events of cameras, only their availability; remove `camera_events` or `format: frigate`"
            )
        return self

    @property
    def needs_camera_events(self) -> bool:
        """Also for the cameras' availability."""
        return self.camera_events or self.state

    def make(self, context: SinkContext) -> Sink:
        """Create the sink; one for a test publishes nothing retained, and has a client id of its own."""
        self._require("paho.mqtt.client")
        if self.tls is not None:
            self.tls.context()  # so that invalid files are reported at the start
        from edge_hoi.sinks.mqtt.broker import Broker
        from edge_hoi.sinks.mqtt.sink import MqttSink

        broker = Broker(
            host=self.host,
            port=self.port or (_TLS_PORT if self.tls else _PORT),
            client_id=self._client_id(context),
            version=self.version,
            user=self.user,
            password=self.password,
            tls=self.tls,
            keepalive_seconds=self.keepalive_seconds,
            timeout_seconds=self.timeout_seconds,
        )
        return MqttSink(
            broker,
            self._topics(),
            qos=self.qos,
            site=context.site,
            cameras=context.cameras,
            has_state=self.state and not context.is_test,
            discovery_prefix=self.home_assistant,
            camera_events=self.camera_events,
            read_media=context.read_media if self.snapshots and self.state and context.snapshot_type else None,
            image_type=context.snapshot_type,
        )

    def _topics(self) -> Topics:
        return Topics(self.prefix or ("frigate" if self.format == "frigate" else "edge-hoi"), self.format)

    def _client_id(self, context: SinkContext) -> str:
        """Return an id that is the same in every run and unique to this program: clients with equal ids disconnect each other.

        It has at most 23 letters and digits, which every broker must accept.
        """
        suffix = "t" if context.is_test else ""
        if self.client_id is not None:
            return self.client_id + suffix
        identity = "\n".join((platform.node(), context.site, self.sink_name, *sorted(context.cameras)))
        return f"edgehoi{hashlib.sha256(identity.encode()).hexdigest()[:_ID_DIGITS]}{suffix}"
