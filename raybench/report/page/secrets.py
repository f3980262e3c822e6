"""What may be a secret taken out of texts that a report shows: job files, addresses, reasons of failures.

    without_secrets("s3://key:secret@bucket/x?token=abc")       # "s3://…@bucket/x?token=…"

By form alone: what stands as user and password in an address, as value of a key that is named like a secret, and what
looks like a token of a well-known service. A secret that looks like any other word is not found.
"""

from __future__ import annotations

import re

__all__ = ["without_secrets"]

_WORDS = (
    "passw(?:or)?d|passphrase|secret|token|api_?key|access_?key|account_?key|private_?key|credentials?|signature|sig"
)
_KEY = rf"(?<![a-z0-9])(?:[a-z0-9]+[_-])*(?:{_WORDS.replace('_', '[_-]')})"  # hf_token, but not tokens or tokenizer
_VALUE = r"(?![\s\"']*(?:$|[{\[]))[\"']?[^\s,\"'}\]&#]+"
_RULES = (
    (re.compile(r"(?<=://)[^\s/@\"']+(?=@)"), "…"),  # user:password@host
    (re.compile(rf"({_KEY}[\"']?[ \t]*[:=][ \t]*){_VALUE}", re.IGNORECASE), r"\1…"),
    (re.compile(r"\b(?:hf|ghp|gho|ghs|glpat|xox[abp])[_-][A-Za-z0-9_-]{16,}"), "…"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "…"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"), "…"),
    (re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}"), "…"),  # a JSON web token
)


def without_secrets(text: str) -> str:
    """The text with … in place of what looks like a secret."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text
