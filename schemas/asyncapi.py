"""The AsyncAPI 3.0 document: every topic, what is on it, and how a reply finds its asker.

It is written from Kotae's side: Kotae receives questions and documents, and sends the rest. `journal` is
missing because nobody else may read or write it.
"""

from typing import Any

from schemas.json_schema import component_schemas
from schemas.topics import Topics, TopicSpec

CONTRACT_VERSION = "1.0.0"
"""Of the messages, topics and headers; its major part changes when a reader of the old ones would break."""

_BINDING = "0.5.0"

_CORRELATION = {
    "correlation_id": "Sent back byte for byte with everything that answers the question.",
    "traceparent": "W3C trace context.",
    "tracestate": "W3C trace context.",
    "baggage": "W3C baggage.",
}
_CLOUD_EVENT = {
    "ce_specversion": "CloudEvents, binary mode: `1.0`.",
    "ce_id": "Unique with `ce_source`.",
    "ce_source": "Who made the event.",
    "ce_type": "What it is, for instance `kotae.answer`.",
    "ce_time": "When it was made, RFC 3339.",
    "ce_partitionkey": "The record's key: the conversation.",
    "content-type": "`application/json`.",
}
_ASKED = {
    "reply_to": "A topic that gets a copy of the answer, if the operator allows it.",
    "ce_expirytime": "RFC 3339: when the answer is of no use any more.",
    "timeout_ms": "The same, in milliseconds after the record's timestamp; `ce_expirytime` counts first.",
    "kafka_correlationId": "As `correlation_id`, as Spring for Apache Kafka sends it.",
    "kafka_replyTopic": "As `reply_to`, as Spring for Apache Kafka sends it.",
    "kafka_replyPartition": "The partition of `kafka_replyTopic`: 4 bytes, big endian.",
}
_CAUSED = {
    "ce_causationid": "The question's `ce_id`, else its id.",
    "ce_correlationid": "The conversation.",
}
_FAILED = {
    "__connect.errors.topic": "Where the record came from.",
    "__connect.errors.partition": "Its partition, decimal.",
    "__connect.errors.offset": "Its offset, decimal.",
    "__connect.errors.stage": "Where it failed.",
    "__connect.errors.exception.class.name": "What was raised.",
    "__connect.errors.exception.message": "What it said.",
    "qa.dlq.timestamp": "When, RFC 3339.",
    "qa.dlq.consumer-group": "The workers' group.",
    "qa.dlq.attempts": "How often the record was tried, decimal.",
    "qa.dlq.disposition": "The error code of the failed answer.",
    "qa.dlq.redrives": "How often it was sent back to be tried again, decimal.",
}
_CONVERSATION_KEY = "The conversation id: one conversation is answered in order."


def asyncapi_document(topics: Topics, *, partitions: int) -> dict[str, Any]:
    """The document, with the topics under the names and with the partitions given."""
    specs = {spec.name: spec for spec in topics.specs(partitions)}
    channels = {
        "questions": (topics.questions, "question", "The input."),
        "answers": (
            topics.answers,
            "answer",
            "Exactly one terminal outcome for every record of `questions`.",
        ),
        "deltas": (topics.deltas, "answerDelta", "Answers while they stream; lossy."),
        "deadLetters": (topics.dead_letters, "deadLetter", "Records that could not be answered."),
        "events": (topics.events, "questionTrace", "How each question was answered."),
        "documents": (topics.documents, "document", "Knowledge; a null value deletes a document."),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kotae",
            "version": CONTRACT_VERSION,
            "description": "Questions in from Kafka, cited answers out.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            name: _channel(specs[topic], message, description)
            for name, (topic, message, description) in channels.items()
        }
        | {
            "replies": {
                "address": None,
                "description": "The topic that a question's `reply_to` names; a copy of its answer.",
                "messages": {"answer": _message("answer")},
            }
        },
        "operations": {
            "receiveQuestion": _operation("receive", "questions", "question")
            | {
                "reply": {
                    "address": {"location": "$message.header#/reply_to"},
                    "channel": _ref("channels", "replies"),
                    "messages": [_ref("channels", "replies", "messages", "answer")],
                }
            },
            "sendAnswer": _operation("send", "answers", "answer"),
            "sendAnswerDelta": _operation("send", "deltas", "answerDelta"),
            "sendDeadLetter": _operation("send", "deadLetters", "deadLetter"),
            "sendQuestionTrace": _operation("send", "events", "questionTrace"),
            "receiveDocument": _operation("receive", "documents", "document"),
        },
        "components": {"messages": _messages(), "schemas": component_schemas("#/components/schemas/{name}")},
    }


def _messages() -> dict[str, Any]:
    sent = _CORRELATION | _CLOUD_EVENT | _CAUSED
    sequence = {"ce_sequence": "The `sequence`, decimal."}
    dead = "The record as it came, byte for byte."
    return {
        "question": _typed("Question", _CORRELATION | _CLOUD_EVENT | _ASKED, _CONVERSATION_KEY),
        "answer": _typed("Answer", sent, _CONVERSATION_KEY),
        "answerDelta": _typed("AnswerDelta", sent | sequence, _CONVERSATION_KEY),
        "questionTrace": _typed("QuestionTrace", sent, _CONVERSATION_KEY),
        "document": _record({}, "`<tenant>/<document id>`, each percent-encoded.")
        | {"name": "Document", "payload": _ref("components", "schemas", "Document")},
        "deadLetter": _record(_CORRELATION | _CLOUD_EVENT | _ASKED | _FAILED, "As it came.")
        | _correlated()
        | {"name": "DeadLetter", "contentType": "application/octet-stream", "description": dead},
    }


def _typed(name: str, headers: dict[str, str], key: str) -> dict[str, Any]:
    payload = _ref("components", "schemas", name)
    return {"name": name, "payload": payload} | _record(headers, key) | _correlated()


def _record(headers: dict[str, str], key: str) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in headers.items()}
    return {
        "headers": {"type": "object", "properties": properties},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": key}, "bindingVersion": _BINDING},
        },
    }


def _correlated() -> dict[str, Any]:
    return {"correlationId": {"location": "$message.header#/correlation_id"}}


def _channel(spec: TopicSpec, message: str, description: str) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        name: int(value) if value.isdigit() else value for name, value in spec.configs.items()
    }
    configuration["cleanup.policy"] = spec.configs["cleanup.policy"].split(",")
    return {
        "address": spec.name,
        "description": description,
        "messages": {message: _message(message)},
        "bindings": {
            "kafka": {
                "partitions": spec.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(action: str, channel: str, message: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": _ref("channels", channel),
        "messages": [_ref("channels", channel, "messages", message)],
    }


def _message(name: str) -> dict[str, str]:
    return _ref("components", "messages", name)


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
