"""A simulated ONVIF device: answers probes by multicast on loopback, and its services over HTTP, to a user with the right digest."""

import base64
import hashlib
import http.server
import re
import socket
import struct
import threading
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from urllib.request import parse_http_list, parse_keqv_list

ENVELOPE = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:t="http://www.onvif.org/ver10/schema"><s:Body>{}</s:Body></s:Envelope>'
FAULT = ENVELOPE.format(
    '<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value xmlns:ter="http://www.onvif.org/ver10/error">ter:{}</s:Value></s:Subcode>'
    "</s:Code></s:Fault>"
)
PROFILES = (("sub", "camera", "H264", 640, 360), ("main", "camera", "H265", 2560, 1440))
_MATCH = """<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">
<s:Header><a:RelatesTo>{message}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch><d:Scopes>{scopes}</d:Scopes>
<d:XAddrs>{addresses}</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"""


class OnvifDevice:
    """A device; a context manager.

    Attributes:
        requests: Names of the calls that it answered, in order.
        answers: By name of a call: bytes to answer with status 200, or a function that writes all of the response.
        scopes: Its scopes.
        addresses: What it answers to probes; its device service if not set.
        clock: How far its clock is ahead; digests of another time are refused.
        stream_url: Pattern of the addresses of its streams.
    """

    def __init__(self, user=None, password=None, *, digest=False, group=("239.255.255.250", 3702), profiles=PROFILES):
        self.requests, self.answers = [], {}
        self.scopes = "onvif://www.onvif.org/name/Yard%20North onvif://www.onvif.org/hardware/C-100 onvif://www.onvif.org/Profile/S"
        self.clock = timedelta()
        self.stream_url = "rtsp://127.0.0.1:8554/{}?channel=1"
        self._user, self._password, self._has_http_digest = user, password, digest
        self._profiles = profiles
        self._group = group
        self._nonces = set()
        self._results = {
            "GetSystemDateAndTime": self._time,
            "GetCapabilities": self._capabilities,
            "GetProfiles": self._profile_list,
            "GetStreamUri": self._stream,
        }
        device = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                with suppress(OSError):
                    device._answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}/onvif/device_service"
        self.addresses = self.url
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._udp.bind(("", group[1]))
        self._udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group[0]) + socket.inet_aton("127.0.0.1"))
        self.group = (group[0], self._udp.getsockname()[1])
        self._thread = threading.Thread(target=self._answer_probes, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 1000))
        with suppress(OSError):
            self._udp.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._udp.close()

    def _answer_probes(self):
        with suppress(OSError):
            while True:
                data, place = self._udp.recvfrom(65_535)
                message = re.search(r"MessageID>([^<]+)<", data.decode())
                if message is None:
                    return
                for answer in self.match(message[1]):
                    self._udp.sendto(answer, place)

    def match(self, message):
        """Return the datagrams that answer a probe."""
        return [_MATCH.format(message=message, scopes=self.scopes, addresses=self.addresses).encode()]

    def _answer(self, handler, request):
        name = re.search(r":Body><\w+:(\w+)", request)[1]
        answer = self.answers.get(name)
        if callable(answer):
            answer(handler)
        elif answer is not None:
            _write(handler, 200, answer)
        elif name != "GetSystemDateAndTime" and not self._is_known(handler, request):
            return
        else:
            self.requests.append(name)
            _write(handler, 200, ENVELOPE.format(self._results[name](request)).encode())

    def _is_known(self, handler, request):
        """Whether it is the user; else the answer is written."""
        if self._user is None:
            return True
        if self._has_http_digest:
            fields = parse_keqv_list(parse_http_list(handler.headers.get("Authorization", "").removeprefix("Digest ")))
            secret = _md5(self._user, "device", self._password)
            wanted = _md5(secret, "n1", fields.get("nc", ""), fields.get("cnonce", ""), "auth", _md5("POST", handler.path))
            if fields.get("response") == wanted:
                return True
            _write(handler, 401, b"", ("WWW-Authenticate", 'Digest realm="device", nonce="n1", qop="auth"'))
            return False
        token = dict(re.findall(r"<\w:(Username|Password|Nonce|Created)(?: [^>]*)?>([^<]*)<", request))
        nonce, created = base64.b64decode(token.get("Nonce", "")), token.get("Created", "")
        wanted = base64.b64encode(hashlib.sha1(nonce + created.encode() + (self._password or "").encode()).digest()).decode()
        if token.get("Username") == self._user and token.get("Password") == wanted and nonce not in self._nonces:
            away = datetime.strptime(created, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc) - self._now()
            self._nonces.add(nonce)
            if abs(away) < timedelta(seconds=60):
                return True
        _write(handler, 400, FAULT.format("NotAuthorized").encode())
        return False

    def _now(self):
        return datetime.now(timezone.utc) + self.clock

    def _time(self, _):
        now = self._now()
        time = f"<t:Hour>{now.hour}</t:Hour><t:Minute>{now.minute}</t:Minute><t:Second>{now.second}</t:Second>"
        date = f"<t:Year>{now.year}</t:Year><t:Month>{now.month}</t:Month><t:Day>{now.day}</t:Day>"
        return f"<t:UTCDateTime><t:Time>{time}</t:Time><t:Date>{date}</t:Date></t:UTCDateTime>"

    def _capabilities(self, _):
        return f"<t:Media><t:XAddr>http://127.0.0.1:{self.port}/onvif/media</t:XAddr></t:Media>"

    def _profile_list(self, _):
        return "".join(
            f'<t:Profiles token="{name}"><t:VideoSourceConfiguration><t:SourceToken>{source}</t:SourceToken></t:VideoSourceConfiguration>'
            f"<t:VideoEncoderConfiguration><t:Encoding>{codec}</t:Encoding><t:Resolution><t:Width>{width}</t:Width><t:Height>{height}"
            "</t:Height></t:Resolution></t:VideoEncoderConfiguration></t:Profiles>"
            for name, source, codec, width, height in self._profiles
        )

    def _stream(self, request):
        name = re.search(r"ProfileToken>([^<]+)<", request)[1]
        return f"<t:MediaUri><t:Uri>{self.stream_url.format(name).replace('&', '&amp;')}</t:Uri></t:MediaUri>"


def _write(handler, status, body, *headers):
    handler.send_response(status)
    for name, value in (*headers, ("Content-Length", str(len(body)))):
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _md5(*parts):
    return hashlib.md5(":".join(parts).encode()).hexdigest()
