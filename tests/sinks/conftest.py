"""Brokers for the tests of sinks."""

import pytest


@pytest.fixture
def start_broker(tmp_path):
    """Return a function that starts a broker: `start_broker(users=..., lines=..., access=...)`."""
    from servers.mosquitto import Mosquitto, require_mosquitto  # tests of other sinks need none of it

    require_mosquitto()
    brokers = []

    def start(**options):
        brokers.append(Mosquitto(tmp_path / f"broker-{len(brokers)}", **options))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.stop()
