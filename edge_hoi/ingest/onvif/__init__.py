"""Cameras on the network and the addresses of their streams, by ONVIF."""

from edge_hoi.ingest.onvif.discovery import Device, discover
from edge_hoi.ingest.onvif.soap import Credentials
from edge_hoi.ingest.onvif.streams import Stream, stream_addresses

__all__ = ["Credentials", "Device", "Stream", "discover", "stream_addresses"]
