"""`samovar up --set`: settings of one program over the platform's own."""

import pytest

from sandbox.devstack.platform_config import PlatformError, read_overrides


def test_settings_are_read_by_program() -> None:
    words = ["download.CDN_LINK_TTL_SECONDS=60", "download.cdn_providers=[{a=b}]", "gateway.LOG_LEVEL="]
    assert read_overrides(words) == {
        "download": {"CDN_LINK_TTL_SECONDS": "60", "CDN_PROVIDERS": "[{a=b}]"},
        "gateway": {"LOG_LEVEL": ""},
    }


@pytest.mark.parametrize("word", ["", "download", "download.X", "download=1", ".X=1", "postgres.X=1", "download.=1"])
def test_a_word_that_sets_nothing_is_refused(word: str) -> None:
    with pytest.raises(PlatformError, match=r"PROGRAM\.NAME=VALUE"):
        read_overrides([word])
