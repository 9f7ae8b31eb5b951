"""A real Apache Kafka broker for tests, in KRaft mode, alone in its cluster. Run as a script, this file fetches its jars by Maven.

They come from wherever Maven takes artifacts from, Maven Central by default, and lie in `JARS` then.
"""

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VERSION = "4.1.0"
JARS = Path.home() / ".cache" / "edge-hoi" / f"kafka-{VERSION}"
FETCH = f"python {Path(__file__).relative_to(Path(__file__).parents[2])}"
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
LISTENERS = ("PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL", "CONTROLLER")
START_SECONDS = 240
"""A JVM needs five seconds of processor time to start, which takes long on a busy machine."""

USER, STRANGER = "writer", "stranger"
PASSWORD = "p@ss/w%rd-canary"


def missing():
    """Return what is missing to run a broker; empty if nothing is."""
    if shutil.which("java") is None:
        return "no Java: install a Java runtime of version 17 or newer (apt-get install openjdk-17-jre-headless)"
    if not JARS.is_dir():
        return f"no Kafka broker: fetch it with `{FETCH}`, which needs Maven (apt-get install maven)"
    return ""


def fetch():
    """Fetch the jars, unless they exist."""
    if JARS.is_dir():
        return
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=JARS.parent) as folder:
        pom = Path(__file__).with_name("kafka-pom.xml")
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}/jars", f"-Dkafka.version={VERSION}"]
        subprocess.run(["mvn", "-q", "-B", "-f", str(pom), *goal], check=True)
        (Path(folder) / "jars").rename(JARS)


@functools.cache
def shared_broker():
    """Return a broker shared by the whole test session; a test may have killed it."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return KafkaBroker(folder.name)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class KafkaBroker:
    """A broker with a listener for each security protocol.

    Over `SASL_*`, `USER` may do everything and `STRANGER` nothing; both have `PASSWORD`, by PLAIN and SCRAM-SHA-256. Over `PLAINTEXT`
    everyone may do everything.
    """

    def __init__(self, folder, *, server_certificate=None, client_certificate=None):
        """Prepare the broker and start it.

        Args:
            folder: Where its data, settings and log go.
            server_certificate: Certificate and key; without them, it listens on no port with TLS.
            client_certificate: The one that clients have to show on the port `SSL`.
        """
        self._folder = Path(folder)
        names = [name for name in LISTENERS if server_certificate or "SSL" not in name]
        self._ports = {name: free_port() for name in names}
        self._process = None
        settings = self._settings() | self._users()
        if server_certificate:
            settings |= self._tls(*server_certificate, client_certificate)
        (self._folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        scram = [f"SCRAM-SHA-256=[name={user},password={PASSWORD}]" for user in (USER, STRANGER)]
        options = [word for each in scram for word in ("--add-scram", each)]
        storage = self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._folder / "server.properties"), *options)
        formatted = subprocess.run(storage, capture_output=True, text=True)
        assert formatted.returncode == 0, formatted.stderr
        self.start()

    def address(self, listener="PLAINTEXT"):
        """Return the HOST:PORT of a listener."""
        return f"127.0.0.1:{self._ports[listener]}"

    def start(self):
        """Start or restart it with the same ports and data."""
        with (self._folder / "broker.log").open("ab") as log:
            command = self._java("kafka.Kafka", str(self._folder / "server.properties"))
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        atexit.register(self.kill)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the broker did not start:\n{(self._folder / 'broker.log').read_text()}")
            time.sleep(0.2)

    @property
    def is_running(self):
        return self._process.poll() is None

    def kill(self):
        """Kill it, to simulate a power failure."""
        if self.is_running:
            self._process.kill()
        self._process.wait()

    def freeze(self):
        """Stop responding, with every connection open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Resume after `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def create_topic(self, topic, *, partitions=1, **settings):
        """Create a topic, and wait until the broker knows it, which it does a little later; settings have underscores for dots."""
        from confluent_kafka.admin import NewTopic

        config = {key.replace("_", "."): str(value) for key, value in settings.items()}
        admin = self._admin()
        for future in admin.create_topics([NewTopic(topic, partitions, 1, config=config)]).values():
            future.result(30)
        deadline = time.monotonic() + 30
        while admin.list_topics(topic, timeout=30).topics[topic].error is not None:
            assert time.monotonic() < deadline, f"the broker does not know {topic}"
            time.sleep(0.05)

    def delete_topic(self, topic):
        admin = self._admin()
        for future in admin.delete_topics([topic]).values():
            future.result(30)

    def records(self, topic):
        """Read all messages of a topic, partition by partition."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.address(), "group.id": "tests", "enable.auto.commit": False, "log_level": 0})
        records = []
        for number in consumer.list_topics(topic, 30).topics[topic].partitions:
            place = TopicPartition(topic, number, 0)
            end = self._end(consumer, place)
            consumer.assign([place])
            offset = 0
            while offset < end:
                record = consumer.poll(30)
                assert record is not None, "the broker stopped answering"
                assert record.error() is None, record.error()
                records.append(record)
                offset = record.offset() + 1
        consumer.close()
        return records

    @staticmethod
    def _end(consumer, place):
        """Return a partition's end offset; a broker that has just started does not know at first that it is the leader."""
        from confluent_kafka import KafkaException

        for _ in range(100):
            try:
                return consumer.get_watermark_offsets(place, 30)[1]
            except KafkaException:
                time.sleep(0.2)
        raise AssertionError("the broker does not lead its partitions")

    def _admin(self):
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.address(), "log_level": 0, "reconnect.backoff.max.ms": 500})

    def _is_up(self):
        from confluent_kafka import KafkaException

        try:
            return bool(self._admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    @staticmethod
    def _java(*words):
        """Return a Java command with a small heap and without the optimizing compiler, for a process that runs for seconds."""
        return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}{os.sep}*", *words]

    def _settings(self):
        addresses = {name: f"{name}://{self.address(name)}" for name in self._ports}
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{self.address('CONTROLLER')}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(f"{name}:{name.replace('CONTROLLER', 'PLAINTEXT')}" for name in LISTENERS),
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(address for name, address in addresses.items() if name != "CONTROLLER"),
            "log.dirs": self._folder / "data",
            "num.network.threads": 1,
            "num.io.threads": 2,
            "auto.create.topics.enable": "true",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{USER};User:CN=client",
        }

    def _users(self):
        module = "org.apache.kafka.common.security"
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in (USER, STRANGER))
        settings = {"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256"}
        for name in self._ports:
            if name.startswith("SASL"):
                prefix = f"listener.name.{name.lower()}"
                settings[f"{prefix}.plain.sasl.jaas.config"] = f"{module}.plain.PlainLoginModule required {users};"
                settings[f"{prefix}.scram-sha-256.sasl.jaas.config"] = f"{module}.scram.ScramLoginModule required;"
        return settings

    def _tls(self, certificate, key, client_certificate):
        store = self._folder / "keystore.pem"
        store.write_text(key.read_text() + certificate.read_text())
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": store,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": client_certificate,
            "listener.name.ssl.ssl.client.auth": "required",
        }


if __name__ == "__main__":
    if shutil.which("mvn") is None:
        sys.exit("no Maven to fetch the Kafka broker with; the tests that need it will skip")
    fetch()
