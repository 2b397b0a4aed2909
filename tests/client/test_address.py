"""Addresses, and what they lead to."""

from __future__ import annotations

import pytest
from stalkd_client.address import Address, Tls, parse


@pytest.mark.parametrize(
    ("url", "address", "text"),
    [
        ("stalkd://h", Address("h", 11300), "stalkd://h:11300"),
        ("beanstalk://h:1", Address("h", 1), "stalkd://h:1"),
        ("tcp://[::1]:2/", Address("::1", 2), "stalkd://[::1]:2"),
        ("unix:/run/s", Address(path="/run/s"), "unix:/run/s"),
        ("unix:///run/s", Address(path="/run/s"), "unix:/run/s"),
        ("local:/a/b", Address(directory="/a/b"), "local:/a/b"),
        ("local:///a/../b", Address(directory="/b"), "local:/b"),
        ("stalkd+tls://h", Address("h", 11300, tls=Tls()), "stalkd+tls://h:11300"),
        (
            "stalkd+tls://h:3?ca=/a%20b&name=x",
            Address("h", 3, tls=Tls(ca="/a b", name="x")),
            "stalkd+tls://h:3?ca=/a+b&name=x",
        ),
    ],
)
def test_good(url: str, address: Address, text: str) -> None:
    assert parse(url) == address
    assert str(address) == text
    assert parse(text) == address


@pytest.mark.parametrize(
    "url",
    [
        *("", "h", "h:1", "http://h", "stalkd://", "stalkd://h/x", "unix:", "local:"),
        *("stalkd://h:99999", "stalkd://h:x", "stalkd://h?ca=x"),
        *("stalkd+tls://h?foo=x", "stalkd+tls://h?key=x", "stalkd+tls://?ca=x"),
    ],
)
def test_bad(url: str) -> None:
    with pytest.raises(ValueError, match=r"stalkd|address|socket|directory"):
        parse(url)


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STALKD_URL", "stalkd://elsewhere:5")
    assert parse() == Address("elsewhere", 5)
    assert parse("stalkd://here:6") == Address("here", 6)
    monkeypatch.setenv("STALKD_URL", "")
    assert parse() == Address("127.0.0.1", 11300)
