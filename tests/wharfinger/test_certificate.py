"""Until when a certificate is good."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.stack.tls import Authority
from wharfinger.certificate import common_name, validity


@pytest.mark.parametrize(
    "ends", [datetime(2020, 2, 29, 1, 2, 3, tzinfo=UTC), datetime(2051, 1, 1, tzinfo=UTC)]
)
def test_the_first_of_a_file(ends: datetime, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("store", "127.0.0.1", ends=ends)
    text = f"words before\n{pair.cert_file.read_text()}{authority.ca_file.read_text()}"
    found = validity(text)
    assert found is not None
    assert found.ends == ends
    assert found.begins < ends
    assert common_name(text) == "store"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "words",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIF\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_says_nothing(text: str) -> None:
    assert validity(text) is None
    assert common_name(text) == ""
