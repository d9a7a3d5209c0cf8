"""The reasons for which a reply ended, in the words of many servers. Pure.

Only words whose meaning is certain are listed; any other one is the proper end of a whole reply.
"""

from typing import Any

_NO_REASON = {"null", "none"}
CUT = {
    *("length", "max_tokens", "max_length", "max_output_tokens", "max_new_tokens", "model_length"),
    *("token_limit", "model_context_window_exceeded"),
}
FILTERED = {
    *("content_filter", "content_filtered", "content-filter", "safety", "recitation", "blocklist", "spii"),
    *("prohibited_content", "sensitive", "refusal", "guardrail_intervened", "image_safety"),
}
BROKEN = {
    *("error", "abort", "aborted", "cancelled", "canceled", "network_error", "insufficient_system_resource"),
    *("timeout", "server_error"),
}


def named_reason(written: Any) -> str:
    """Return the reason in lower case, "" if it is none: the reply goes on."""
    named = written.strip().lower() if isinstance(written, str) else ""
    return "" if named in _NO_REASON else named
