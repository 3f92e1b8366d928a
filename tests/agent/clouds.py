"""The fake Messages API as each cloud offers it: its paths, its signature or token, its
frames; no sockets.

Vertex and Foundry stream the API's own events. Bedrock's come as frames of AWS's event
stream (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html),
each with one event as base64.
"""

import base64
import binascii
import json
import re
import struct
import urllib.parse
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2

from tests.agent.inprocess import InProcess
from tests.fake_messages import FakeMessages


@dataclass(frozen=True)
class Wire:
    """How one cloud is spoken to: its path (with the model in it, where it is), a
    header of its own, its frames.
    """

    path: str
    header: str
    value: str
    frames: bool = False


WIRES = {
    "AsyncAnthropicBedrock": Wire(
        r"/model/(?P<model>[^/]+)/invoke-with-response-stream",
        "authorization",
        r"AWS4-HMAC-SHA256 .*Signature=",
        True,
    ),
    "AsyncAnthropicBedrockMantle": Wire(
        r"/anthropic/v1/messages", "authorization", r"AWS4-HMAC-SHA256 .*Signature="
    ),
    "AsyncAnthropicAWS": Wire(
        r"/v1/messages", "authorization", r"AWS4-HMAC-SHA256 .*Signature="
    ),
    "AsyncAnthropicVertex": Wire(
        r"/v1/projects/acme/locations/europe-west1/publishers/anthropic/models/(?P<model>[^/]+):streamRawPredict",
        "authorization",
        r"Bearer google-token",
    ),
    "AsyncAnthropicGoogleCloud": Wire(
        r".*/v1/messages", "authorization", r"Bearer google-token"
    ),
    "AsyncAnthropicFoundry": Wire(r"/anthropic/v1/messages", "api-key", r"foundry-key"),
}


class Cloud(httpx2.AsyncBaseTransport):
    """Takes a cloud's requests, checks that they are its own, and answers as the fake
    API does. `broken`: the code of an exception frame that ends each of Bedrock's
    streams while it is set."""

    def __init__(self, api: FakeMessages, wire: Wire) -> None:
        self._inside, self._wire, self._key = InProcess(api), wire, api.api_key
        self.broken = ""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = urllib.parse.unquote(request.url.path)
        found = re.fullmatch(self._wire.path, path)
        if found is None or not re.match(
            self._wire.value, request.headers.get(self._wire.header, "")
        ):
            return httpx2.Response(
                403, json={"message": f"{path} is not asked like this"}, request=request
            )
        body = json.loads(await request.aread())
        if "model" in found.groupdict():
            assert body.pop("anthropic_version")
            body = {"model": found["model"], **body, "stream": True}
        plain = httpx2.Request(
            "POST",
            "http://fake/v1/messages",
            json=body,
            headers={"x-api-key": self._key},
        )
        answer = await self._inside.handle_async_request(plain)
        if not self._wire.frames or answer.status_code != 200:
            return answer
        headers = {
            "content-type": "application/vnd.amazon.eventstream",
            "x-amzn-requestid": "aws-1",
        }
        return httpx2.Response(
            200, headers=headers, stream=_Frames(answer.stream, self), request=request
        )


class _Frames(httpx2.AsyncByteStream):
    def __init__(self, inside: httpx2.AsyncByteStream, cloud: Cloud) -> None:
        self._inside, self._cloud = inside, cloud

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for event in self._inside:
            data = event.partition(b"data: ")[2].strip()
            if data:
                payload = json.dumps(
                    {"bytes": base64.b64encode(data).decode()}
                ).encode()
                yield frame({":event-type": "chunk", ":message-type": "event"}, payload)
            if self._cloud.broken:
                code, self._cloud.broken = self._cloud.broken, ""
                yield frame(
                    {":exception-type": code, ":message-type": "exception"},
                    b'{"message": "slow down"}',
                )
                return

    async def aclose(self) -> None:
        await self._inside.aclose()


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame of AWS's event stream, with its two checksums."""
    named = {**headers, ":content-type": "application/json"}
    head = b"".join(
        bytes([len(name)])
        + name.encode()
        + b"\x07"
        + struct.pack(">H", len(value))
        + value.encode()
        for name, value in named.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + head + payload
    return message + struct.pack(">I", binascii.crc32(message))
