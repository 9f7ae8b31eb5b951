"""Serve a video file over RTSP, with GStreamer's own server. Run by the system's Python, which has GStreamer's bindings.

Every client gets the file from its start, at the pace of its timestamps, with H.264 passed on as it is. Prints `PORT <n>` once it listens.
"""

import argparse
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # versions must be required first

DEMUXERS = {".mp4": "qtdemux", ".mkv": "matroskademux"}


def protect(server, factory, credentials):
    """Let in only who shows `user:password` (RTSP basic authentication)."""
    user, _, password = credentials.partition(":")
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role("viewer")
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", default="0")
    parser.add_argument("--credentials", help="user:password")
    arguments = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    factory = GstRtspServer.RTSPMediaFactory()
    demuxer = DEMUXERS[arguments.file.suffix]
    factory.set_launch(f'( filesrc location="{arguments.file}" ! {demuxer} ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )')
    if arguments.credentials:
        protect(server, factory, arguments.credentials)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    sys.stdout.write(f"PORT {server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
