"""Writes the AsyncAPI 3.0 document: every WebSocket with the messages of both sides, and every topic with its CloudEvents. The
gateway serves it at /api/v1/asyncapi.json.

`send` and `receive` are the platform's: it sends what packages with endpoints of their own publish, and receives what others do.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

from samovar.options.v1 import options_pb2

from codegen.emit.examples import UUID, Examples, NoExample
from codegen.emit.json_schemas import Form, Json, Schemas
from codegen.read.endpoints import Endpoint, StreamEndpoint
from codegen.read.model import Contract, MessageType

_TIME = "2026-01-02T03:04:05Z"
_TEXT: Json = {"type": "string"}
_DATE_TIME: Json = {"type": "string", "format": "date-time"}

INFO: Json = {
    "version": "v1",
    "description": (
        "WebSockets of the gateway and events of the platform, generated from the protos. REST is described in "
        "`/api/v1/openapi.json`."
    ),
}

_OTHER_FORMS = (
    "The same events come as Server-Sent Events (`Accept: text/event-stream`; `id`, `event`, the envelope as `data`; resumed "
    "by `Last-Event-ID`) and as lines of JSON (`Accept: application/x-ndjson`; an envelope a line, an empty line now and then)."
)

_AUTH_TOKEN = "auth.token"  # noqa: S105  an event's name
_ERROR_PAYLOAD: Json = {
    "type": "object",
    "required": ["code", "title", "detail", "trace_id"],
    "properties": {
        "code": {"type": "string", "description": "What programs go by."},
        "title": {"type": "string", "description": "Short text for people."},
        "detail": {"type": "string", "description": "Whole text for people."},
        "status": {"type": "string", "description": "HTTP status that the error has over REST."},
        "retry_after_seconds": {"type": "number", "description": "How long to wait before the next try."},
        "trace_id": {"type": "string", "description": "For whoever reads the logs."},
    },
}
_TOKEN_PAYLOAD: Json = {
    "type": "object",
    "required": ["token"],
    "properties": {
        "token": {"type": "string", "description": "The user's access token."},
        "last_event_id": {"type": "string", "description": "The last event that the client saw."},
    },
}
_END_PAYLOAD: Json = {
    "type": "object",
    "required": ["reason"],
    "properties": {"reason": {"type": "string", "description": "Why the stream ends, for programs."}},
}


def emit_asyncapi(
    contract: Contract, endpoints: Sequence[Endpoint], streams: Sequence[StreamEndpoint], root: str, title: str
) -> tuple[str, str]:
    """Path and text of the document."""
    methods = [one.method for one in endpoints] + [one.method for one in streams]
    served = {method.service.partition(".")[0] for method in methods}
    document = _Document(contract, frozenset(served)).of(streams, title)
    return f"{root.replace('.', '/')}/asyncapi.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Document:
    """Collects channels, operations and the components they share."""

    def __init__(self, contract: Contract, served: frozenset[str]) -> None:
        self._contract = contract
        self._served = served
        self._schemas = Schemas(contract)
        self._examples = Examples(contract)
        self._messages: dict[str, Json] = {}
        self._channels: dict[str, Json] = {}
        self._operations: dict[str, Json] = {}

    def of(self, streams: Sequence[StreamEndpoint], title: str) -> Json:
        for stream in streams:
            self._socket(stream)
        topics: dict[str, list[MessageType]] = {}
        for name in sorted(self._contract.messages):
            message = self._contract.messages[name]
            if message.event is not None and message.file in self._contract.own_files:
                topics.setdefault(message.event.topic, []).append(message)
        for topic in sorted(topics):
            self._topic(topic, topics[topic])
        return {
            "asyncapi": "3.0.0",
            "info": {"title": title, **INFO},
            "defaultContentType": "application/json",
            "channels": self._channels,
            "operations": self._operations,
            "components": {
                "messages": dict(sorted(self._messages.items())),
                "schemas": dict(sorted(self._schemas.components.items())),
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }

    # --- WebSockets --------------------------------------------------------------------------------------------------------------

    def _socket(self, stream: StreamEndpoint) -> None:
        method, access = stream.method, stream.method.access or options_pb2.Access()
        name = f"{method.service}.{method.name}"
        sent = dict(self._stream_events(stream))
        sent |= {
            "stream.end": self._control("stream.end", "The stream ended, and it is nobody's error.", _END_PAYLOAD),
            "stream.error": self._control("stream.error", "The stream ended with an error.", _ERROR_PAYLOAD),
        }
        received = {}
        if not access.public:
            said = "The first message of a client that brought no token with its handshake."
            received = {_AUTH_TOKEN: self._control(_AUTH_TOKEN, said, _TOKEN_PAYLOAD, sent_by_client=True)}
        self._channel(name, stream.path, f"{method.comment} {_OTHER_FORMS}".lstrip(), {**sent, **received})
        if stream.path_fields:
            parameters = {one.name: _described_parameter(one.comment) for one in stream.path_fields}
            self._channels[name]["parameters"] = parameters
        handshake = _handshake(is_resumable=stream.resume_field is not None, access=access)
        for one in stream.query_fields:
            schema = {**self._schemas.value(one, Form.REQUEST)}
            handshake["query"]["properties"][one.name] = (
                {**schema, "description": one.comment} if one.comment and "$ref" not in schema else schema
            )
        self._channels[name]["bindings"] = {"ws": handshake}
        roles = ", ".join(f"`{role}`" for role in access.roles)
        said = f"For users with one of the roles: {roles}." if roles else ""
        self._operation(name, "send", list(sent), said)
        if received:
            self._operation(name, "receive", list(received), said)

    def _stream_events(self, stream: StreamEndpoint) -> Iterator[tuple[str, str]]:
        for one in stream.events:
            payload, option = one.payload, one.option
            key = f"{stream.method.service}.{stream.method.name}.{option.type}"
            said = one.comment
            if option.superseded_by:
                said += f" Not sent when a newer one with the same `{option.superseded_by}` is ready."
            self._messages[key] = self._message(
                option.type, said, _envelope(option.type, self._schemas.message(payload, Form.ANSWER))
            )
            with suppress(NoExample):
                value = self._examples.members(payload.fields, Form.ANSWER)
                example = {"event_type": option.type, "id": "0-1", "timestamp": _TIME, "payload": value}
                self._messages[key]["examples"] = [{"name": option.type, "payload": example}]
            yield option.type, key

    def _control(self, event_type: str, said: str, payload: Json, *, sent_by_client: bool = False) -> str:
        envelope = _envelope(event_type, payload)
        if sent_by_client:
            envelope["required"] = ["event_type", "payload"]
        self._messages[event_type] = self._message(event_type, said, envelope)
        return event_type

    # --- topics ------------------------------------------------------------------------------------------------------------------

    def _topic(self, topic: str, events: Sequence[MessageType]) -> None:
        names: dict[str, str] = {}
        for message in events:
            assert message.event is not None  # noqa: S101  chosen for it
            kind = message.event.type
            names[kind] = kind
            data = self._schemas.message(message, Form.EVENT)
            self._messages[kind] = self._message(kind, message.comment, _cloud_event(kind, data))
            self._messages[kind]["contentType"] = "application/cloudevents+json"
            with suppress(NoExample):
                value = self._examples.members(message.fields, Form.EVENT)
                self._messages[kind]["examples"] = [{"name": kind, "payload": _cloud_event_example(kind, value)}]
        said = "What cannot be handled goes to the topic's `.dlq` with the reason."
        self._channel(topic, topic, said, names)
        is_ours = any(message.full_name.partition(".")[0] in self._served for message in events)
        self._operation(topic, "send" if is_ours else "receive", list(names), "")

    # --- parts -------------------------------------------------------------------------------------------------------------------

    def _channel(self, name: str, address: str, said: str, messages: dict[str, str]) -> None:
        references = {own: {"$ref": f"#/components/messages/{key}"} for own, key in messages.items()}
        described = {"description": said} if said else {}
        self._channels[name] = {"address": address, **described, "messages": references}

    def _operation(self, channel: str, action: str, messages: Sequence[str], said: str) -> None:
        described = {"description": said} if said else {}
        self._operations[f"{channel}.{action}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            **described,
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
        }

    def _message(self, name: str, said: str, payload: Json) -> Json:
        described = {"summary": said} if said else {}
        return {"name": name, **described, "payload": payload}


def _envelope(event_type: str, payload: Json) -> Json:
    """Return the schema of every message on a WebSocket."""
    return {
        "type": "object",
        "required": ["event_type", "id", "timestamp", "payload"],
        "properties": {
            "event_type": {"type": "string", "const": event_type},
            "id": {"type": "string", "description": "For `last_event_id`; empty when there is nothing to resume."},
            "timestamp": _DATE_TIME,
            "payload": payload,
        },
    }


def _described_parameter(comment: str) -> Json:
    return {"description": comment} if comment else {}


def _handshake(*, is_resumable: bool, access: options_pb2.Access) -> Json:
    """Return the schema of the query parameters of the handshake."""
    known: Json = {}
    if is_resumable:
        known["last_event_id"] = {
            "type": "string",
            "description": "The last event that the client saw; what it missed follows.",
        }
    if not access.public:
        said = (
            "The user's access token, for clients that can set no header. Better: the header `Authorization`, or the "
            "subprotocol `bearer.<token>`, offered beside `samovar.v1`, which is the one that is chosen."
        )
        known["token"] = {"type": "string", "description": said}
    return {"method": "GET", "query": {"type": "object", "properties": known}, "bindingVersion": "0.1.0"}


def _cloud_event(kind: str, data: Json) -> Json:
    """CloudEvents 1.0, structured JSON."""
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "partitionkey", "data"],
        "properties": {
            "specversion": {"type": "string", "const": "1.0"},
            "id": {"type": "string", "description": "Equal ids are one event."},
            "source": _TEXT,
            "type": {"type": "string", "const": kind},
            "subject": _TEXT,
            "time": _DATE_TIME,
            "datacontenttype": {"type": "string", "const": "application/json"},
            "dataschema": {"type": "string", "format": "uri"},
            "partitionkey": {"type": "string", "description": "Events with an equal key keep their order."},
            "traceparent": _TEXT,
            "data": data,
        },
    }


def _cloud_event_example(kind: str, data: Json) -> Json:
    return {
        "specversion": "1.0",
        "id": UUID,
        "source": f"platform.{kind.removeprefix('com.platform.').partition('.')[0]}-service",
        "type": kind,
        "time": _TIME,
        "datacontenttype": "application/json",
        "partitionkey": UUID,
        "data": data,
    }
