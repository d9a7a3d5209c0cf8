"""The marks that models set around their reasoning, and around the answer behind it."""

import re

_NAMES = "think|thinking|thoughts?|reasoning|reason|reflection|scratchpad|(?:inner|internal)_monologue"
# Some models' block has a name that no text holds by chance: `think_never_used_51bce0c7`.
_NAME = rf"(?:\w{{1,12}}[:_])?(?:{_NAMES})(?:_never_used_\w{{1,40}})?"
_ENDS = "end|return|call|im_end|eot_id|eom_id|endoftext|end_of_text|end_of_turn"
MARK = re.compile(
    rf"<(?P<close>/?){_NAME}(?:\s+[\w-]+=[^<>]{{0,60}}|\s*)>"
    rf"|<\|(?P<close7>/?)(?:{_NAMES})\|>"
    r"|\[(?P<close2>/?)THINK\]"
    r"|◁(?P<close3>/?)think▷"
    r"|<\|(?:(?P<close4>end)|begin)_of_thought\|>"
    r"|<\|(?:(?P<close5>END)|START)_THINKING\|>"
    r"|(?P<open6><\|channel>thought)|(?P<close6><channel\|>)"
    rf"|<\|(?P<harmony>start|channel|message|constrain|{_ENDS})\|>"
    r"|<\|(?:begin|end)_of_solution\|>|<\|(?:START|END)_RESPONSE\|>"
    r"|(?P<wrap><(?P<wrap_end>/?)(?:answer|response)>)",
    re.IGNORECASE,
)
PARTIAL = re.compile(
    rf"(?:<(?:/?{_NAME}\s[^<>]{{0,75}}|\|?/?[\w:]{{0,72}}\|?|\|channel>\w{{0,7}}|channel\|?)"
    r"|\[/?[A-Za-z]{0,5}|◁/?\w{0,5}|[\ud800-\udbff])\Z",
    re.IGNORECASE,
)
"""The end of a text that more text could turn into a mark; no longer than a mark can be."""
SIGNS = re.compile("[<\\[◁\ud800-\udfff]")
"""Something that any mark holds."""
