"""A configuration that changes → what is asked next: the new one, or the last good one."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from jwt_guard.access.provider import Provider
from jwt_guard.config.gateway import read_gateway
from jwt_guard.config.load import guard_from, read
from jwt_guard.gateway.front import Front
from jwt_guard.gateway.reloading import Built, Reloading, doors_of, marks, warmed
from jwt_guard.sources.jwks import RemoteKeys
from jwt_guard.testing import LocalIssuer

ONE = """
[providers.one]
issuer = "{issuer}"
audience = "orders"
"""
TWO = """
[providers.two]
issuer = "https://two.example"
audience = "orders"
jwks_url = "{issuer}/jwks"
"""


class Config:
    """A file, and what is made of it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "guard.toml"
        self.built = 0
        self.then: Any = None

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    def build(self) -> Built:
        self.built += 1
        files = marks([self.file])
        root = read(self.file)
        if self.then is not None:
            self.then()
        return Built(read_gateway(root), guard_from(root), files)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


def providers(front: Front) -> dict[str, Provider]:
    return {provider.name: provider for provider in front.doors.judge.guard.providers}


def test_a_provider_that_stays_keeps_its_keys_and_a_new_one_has_them_before_it_is_asked(config: Config) -> None:
    with LocalIssuer().serve() as issuer:
        config.write(ONE.format(issuer=issuer.url))

        async def play() -> None:
            reloading = Reloading(config.build)
            front = Front(await reloading.first())
            before = providers(front)["one"]
            assert isinstance(before.source, RemoteKeys)
            assert before.source.state().usable
            config.write(ONE.format(issuer=issuer.url) + TWO.format(issuer=issuer.url))
            assert await reloading.once(front)
            assert before is providers(front)["one"]
            added = providers(front)["two"].source
            assert isinstance(added, RemoteKeys)
            assert added.state().usable
            config.write(ONE.format(issuer=issuer.url) + "leeway = 5\n")
            assert await reloading.once(front)
            assert {"one"} == providers(front).keys()
            assert before is not providers(front)["one"]

        asyncio.run(play())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[providers.one\n", "no TOML"),
        ("[gateway]\nlistn = 1\n", "did you mean listen"),
        (ONE + '[gateway]\nupstream = "http://127.0.0.1:1"\n', "counts from the next start"),
    ],
)
def test_the_last_good_one_stays(config: Config, text: str, sentence: str, caplog: pytest.LogCaptureFixture) -> None:
    good = ONE.format(issuer="https://id.invalid")
    config.write(good)

    async def play() -> None:
        front = Front(doors_of(config.build()))
        reloading, before = Reloading(config.build), front.doors
        config.write(text.format(issuer="https://id.invalid"))
        assert not await reloading.once(front)
        assert before is front.doors

    asyncio.run(play())
    assert sentence in caplog.text
    assert 1 == len(caplog.records)


def test_where_it_listens_counts_after_a_restart_and_that_is_said(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    good = ONE.format(issuer="https://id.invalid").replace('"orders"\n', '"orders"\nsecret = "' + "s" * 40 + '"\n')
    config.write(good + '[gateway]\nlisten = "127.0.0.1:1"\n')
    caplog.set_level("WARNING", "jwt_guard")
    said: list[list[str]] = []

    async def play() -> None:
        reloading = Reloading(config.build)
        front = Front(await reloading.first())
        for gateway in (
            'listen = "127.0.0.1:1"\nadmin_listen = "127.0.0.1:2"\ngrpc_listen = "127.0.0.1:3"',
            'listen = "127.0.0.1:4"',
            'listen = "127.0.0.1:4"\nanswer_within = 1',
            "answer_within = 2",
            'listen = "127.0.0.1:1"\nanswer_within = 3',
        ):
            caplog.clear()
            config.write(f"{good}[gateway]\n{gateway}\n")
            assert await reloading.once(front)
            said.append(caplog.messages)
        assert 3 == front.doors.settings.answer_within

    asyncio.run(play())
    more = ": a change of it counts after a restart, and not before"
    assert [
        [f"gateway.grpc_listen, gateway.admin_listen{more}"],
        [f"gateway.listen{more}"],
        [f"gateway.listen{more}"],
        [f"gateway.listen{more}"],
        [],
    ] == said


def test_a_function_that_raises_keeps_the_last_good_one_and_its_words_to_itself(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    config.write(ONE.format(issuer="https://id.invalid"))

    def broken() -> None:
        raise KeyError("a secret")

    async def play() -> None:
        front = Front(doors_of(config.build()))
        config.then = broken
        assert not await Reloading(config.build).once(front)

    asyncio.run(play())
    assert "KeyError" in caplog.text
    assert "a secret" not in caplog.text


def test_what_changes_while_it_is_read_is_not_asked(config: Config) -> None:
    text = ONE.format(issuer="https://id.invalid")
    config.write(text)

    async def play() -> None:
        front = Front(doors_of(config.build()))
        before = front.doors
        config.then = lambda: config.write(text + "\n# more\n" * config.built)
        assert not await Reloading(config.build).once(front)
        assert before is front.doors

    asyncio.run(play())


async def soon(front: Front, names: set[str]) -> None:
    async with asyncio.timeout(20):
        while names != providers(front).keys():  # noqa: ASYNC110 - somebody else's doing
            await asyncio.sleep(0.01)


def test_a_change_of_the_file_or_a_word_is_enough(config: Config) -> None:
    config.write(json_config("a"))

    async def play() -> None:
        reloading = Reloading(config.build, every=0.02)
        front = Front(await reloading.first())
        looking = asyncio.create_task(reloading.forever(front))
        await asyncio.sleep(0.1)
        assert 1 == config.built  # nothing has changed
        config.write(json_config("b", "c"))
        await soon(front, {"b", "c"})
        other = config.file.with_suffix(".new")
        other.write_text(json_config("d"), encoding="utf-8")
        os.replace(other, config.file)  # noqa: PTH105 - as editors and Kubernetes do
        await soon(front, {"d"})
        config.file.unlink()
        await asyncio.sleep(0.2)
        assert {"d"} == providers(front).keys()
        built = config.built
        await asyncio.sleep(0.1)
        assert built == config.built  # what is wrong is said once
        config.write(json_config("e"))
        await soon(front, {"e"})
        built = config.built
        reloading.now()
        async with asyncio.timeout(20):
            while built == config.built:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        looking.cancel()

    asyncio.run(play())


def json_config(*names: str) -> str:
    return "".join(
        f'[providers.{name}]\nissuer = {json.dumps(f"https://{name}.example")}\naudience = "x"\nsecret = "{"s" * 40}"\n'
        for name in names
    )


def test_an_issuer_that_hangs_is_not_waited_for_for_ever(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.bad_issuer import BadIssuer, hangs

    monkeypatch.setattr("jwt_guard.gateway.reloading._LONGEST_WARMING", 0.05)
    with BadIssuer(hangs()) as issuer:
        config.write(TWO.format(issuer=issuer.url.rpartition("/")[0]))
        doors = doors_of(config.build())
        assert doors is asyncio.run(warmed(doors))
