"""Secrets: a canary goes through everything that shows values, and is seen nowhere."""

from __future__ import annotations

import base64
import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from pydantic import BaseModel, Field, ValidationError

from gl002.config.settings import Settings
from gl002.errors import ConfigError
from gl002.security.secrets import Redactor, Secret

CANARY = "c4n4ry/+ pässword"


class Login(Settings):
    user: str = Field(description="Who.")
    password: Secret = Field(description="What.")
    port: int = Field(1, description="Where.")


@pytest.fixture(autouse=True)
def _no_other_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have made secret is no concern of these."""
    monkeypatch.setattr(Redactor, "_known", set())
    monkeypatch.setattr(Redactor, "_forms", None)


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of its own, with the filter on its handler as the programs install it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(Redactor())
    logger = logging.getLogger("gl002.test.secrets")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)
    logger.propagate = True


def test_only_reveal_gives_it_out() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_nothing_that_shows_a_secret_shows_it() -> None:
    secret = Secret(CANARY)
    shown = [
        repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{secret:>40}",
        f"{[secret]}", str({"password": secret}), pprint.pformat({"a": [secret]}),
        json.dumps(secret, default=str), ascii(secret),
    ]  # fmt: skip
    assert [text for text in shown if "c4n4ry" in text] == []


@pytest.mark.parametrize("save", [pickle.dumps, json.dumps, msgspec.json.encode, vars])
def test_a_secret_is_not_saved(save: object) -> None:
    with pytest.raises(TypeError):
        save(Secret(CANARY))  # type: ignore[operator]


def test_a_secret_is_passed_on_by_copies() -> None:
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_secrets_compare_by_value_and_hash_without_telling() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret("another secret")
    assert Secret(CANARY) != CANARY
    assert hash(Secret(CANARY)) == hash(Secret("another secret"))
    assert bool(Secret(CANARY))
    assert not Secret("")


def test_settings_with_a_secret_do_not_show_it() -> None:
    login = Login.parse({"user": "gl002", "password": CANARY})
    shown = [
        repr(login), str(login), str(login.model_dump()), login.model_dump_json(),
        json.dumps(login.model_dump(mode="json")), str(login.model_copy(deep=True)),
        repr(login.model_copy(update={"port": 2})),
    ]  # fmt: skip
    assert [text for text in shown if "c4n4ry" in text] == []
    assert login.password.reveal() == CANARY


def test_a_secret_can_come_from_json() -> None:
    text = json.dumps({"user": "gl002", "password": CANARY})
    assert Login.model_validate_json(text).password.reveal() == CANARY
    assert json.loads(json.dumps(Login.model_json_schema()))["properties"]["password"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": CANARY},
        {"user": 1, "password": CANARY},
        {"user": "x", "password": [CANARY]},
        {"user": "x", "password": {"value": CANARY}},
        {"user": "x", "password": CANARY, "port": "x"},
        {"user": "x", "password": CANARY, "pasword": 1},
        {"user": "x", "pasword": CANARY},
        [CANARY],
    ],
)
def test_errors_about_settings_do_not_show_it(wrong: object) -> None:
    with pytest.raises(ConfigError) as caught:
        Login.parse(wrong, "login")
    error: BaseException | None = caught.value
    while error is not None:
        assert "c4n4ry" not in f"{error} {error!r} {error.args}"
        error = error.__context__
    assert "c4n4ry" not in "".join(traceback.format_exception(caught.value))


def test_errors_of_pydantic_itself_do_not_show_it() -> None:
    class Plain(BaseModel):
        model_config = Login.model_config
        password: Secret = Field(description="x")

    with pytest.raises(ValidationError) as caught:
        Plain.model_validate({"password": [CANARY]})
    assert "c4n4ry" not in str(caught.value)


def test_a_number_for_a_password_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="in quotes"):
        Login.parse({"user": "x", "password": 12345678})


@pytest.mark.parametrize(
    "form",
    [CANARY, quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode()],
    ids=["clear", "url", "base64"],
)
def test_a_known_secret_is_taken_out_of_log_lines(
    log: tuple[logging.Logger, io.StringIO], form: str
) -> None:
    Secret(CANARY)
    logger, stream = log
    logger.warning("connecting to mqtt://user:%s@broker", form)
    logger.warning(f"again {form}")  # noqa: G004 (people write it so)
    logger.warning("and %(p)s", {"p": form})
    assert form not in stream.getvalue()
    assert stream.getvalue().count("***") == 3
    assert "mqtt://user:***@broker" in stream.getvalue()


@pytest.mark.parametrize("user", ["", "u:", "us:", "use:", "user:"])
def test_a_password_is_taken_out_of_basic_credentials_whoever_the_user_is(user: str) -> None:
    Secret(CANARY)
    sent = base64.b64encode(f"{user}{CANARY}".encode()).decode()
    left = Redactor.redact(f"Authorization: Basic {sent}").rpartition(" ")[2]
    assert "***" in left
    assert len(left.replace("***", "").rstrip("=")) <= len(user) * 4 / 3 + 2


@pytest.mark.parametrize(
    "form", [json.dumps, repr, quote, quote_plus, partial(json.dumps, ensure_ascii=False)]
)
def test_a_password_of_odd_characters_is_taken_out_however_it_is_quoted(
    form: Callable[[str], str],
) -> None:
    odd = 'pä/ss:w"o\\rd x'
    Secret(odd)
    assert Redactor.redact(form(odd)).strip("\"'") == "***"


def test_a_known_secret_is_taken_out_of_tracebacks_and_stacks(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    Secret(CANARY)
    logger, stream = log
    try:
        int(f"bad password {CANARY}")
    except ValueError:
        logger.exception("while connecting")
    logger.warning("here", stack_info=True)
    assert "while connecting" in stream.getvalue()
    assert "bad password ***" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_lines_without_secrets_stay_as_they_are(log: tuple[logging.Logger, io.StringIO]) -> None:
    Secret(CANARY)
    logger, stream = log
    logger.warning("value %d of %s", 3, "tag")
    assert stream.getvalue() == "value 3 of tag\n"


def test_arguments_that_do_not_fit_break_neither_the_program_nor_the_silence(
    log: tuple[logging.Logger, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    Secret(CANARY)
    logger, stream = log
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.warning("value %d of %s", CANARY)  # noqa: PLE1206 (the point)
    assert CANARY not in stream.getvalue()


def test_words_too_short_to_be_secret_are_left_alone() -> None:
    Secret("on")
    assert Redactor.redact("turn it on") == "turn it on"


def test_who_chose_the_word_password_can_still_read_that_it_is_incorrect() -> None:
    Secret("password")
    Secret("Secret")
    said = "Name or password is incorrect; Secret(***)"
    assert Redactor.redact(said) == said


def test_a_secret_that_contains_another_is_taken_out_whole() -> None:
    Secret("abcdef123")
    Secret("abcdef123456789")
    assert Redactor.redact("x abcdef123456789 y abcdef123 z") == "x *** y *** z"


def test_of_tokens_that_follow_each_other_the_newest_are_redacted() -> None:
    lasting = Secret("lasting-canary-4711")
    tokens = [Secret(f"passing-canary-{i:05d}", passing=True) for i in range(1000)]
    assert Redactor.redact(f"a {tokens[-1].reveal()} b") == "a *** b"
    assert Redactor.redact(f"a {tokens[-200].reveal()} b") == "a *** b"
    assert Redactor.redact(f"a {lasting.reveal()} b") == "a *** b"
    assert len(Redactor._passing) <= 256
    assert repr(tokens[0]) == "Secret(***)"
