"""Settings: every key described, every mistake named, no secret shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from gl002.config.settings import Settings
from gl002.connector import Connector
from gl002.errors import ConfigError
from gl002.registry import AnyConnector, connector
from gl002.security.secrets import Secret
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig

_CANARY = "canary-5up3r-s3cret-value"
_SNAKE = re.compile(r"[a-z][a-z0-9_]*")


def _inside(annotation: Any) -> Iterator[tuple[type, type | None]]:
    """Every class inside a type such as `list[Device] | None`, and the list or dict around it."""
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        yield annotation, None
    for inner in getattr(annotation, "__args__", ()):
        origin = getattr(annotation, "__origin__", None)
        for cls, around in _inside(inner):
            yield cls, around or (origin if origin in {list, dict} else None)


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """The model and every model inside it."""
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for cls, _ in _inside(field.annotation):
            if issubclass(cls, BaseModel):
                yield from _models(cls, seen)


def _all_models(cls: AnyConnector) -> list[type[BaseModel]]:
    seen: set[type[BaseModel]] = set()
    parts = (cls.Config, cls.Input, cls.Output)
    return [model for part in parts if part is not None for model in _models(part, seen)]


def _blocks(model: type[BaseModel], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Dotted key of every block inside a model, and a configuration with a wrong key there."""
    yield "", {"nonsense_key": 1}
    deepest = 4
    if depth == deepest:
        return
    for name, field in model.model_fields.items():
        for cls, around in _inside(field.annotation):
            if issubclass(cls, Settings):
                for below, wrong in _blocks(cls, depth + 1):
                    block: Any
                    if around is list:
                        place, block = f"{name}[0]", [wrong]
                    elif around is dict:
                        place, block = f"{name}.any", {"any": wrong}
                    else:
                        place, block = name, wrong
                    yield f"{place}.{below}".rstrip("."), {name: block}


def _secret_keys(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Paths of all secrets in a model."""
    for name, field in model.model_fields.items():
        for cls, around in _inside(field.annotation):
            if issubclass(cls, Secret):
                yield (name,)
            elif issubclass(cls, BaseModel) and around is None:
                yield from ((name, *rest) for rest in _secret_keys(cls))


def _has_secrets(cls: AnyConnector) -> bool:
    return any(_secret_keys(cls.Config))


def test_every_key_is_described_and_in_snake_case(rig: Rig) -> None:
    for model in _all_models(connector(rig.kind)):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"
            assert _SNAKE.fullmatch(name), f"{model.__name__}.{name}"


def test_an_unknown_key_is_named_with_its_place(rig: Rig) -> None:
    cls = connector(rig.kind)
    for place, wrong in _blocks(cls.Config):
        with pytest.raises(ConfigError) as caught:
            cls.Config.parse(wrong, rig.kind)
        key = ".".join(filter(None, (rig.kind, place, "nonsense_key")))
        assert f"{key}: unknown key 'nonsense_key'" in str(caught.value)


def test_bad_settings_are_refused_with_a_word_that_helps(rig: Rig, make: Maker) -> None:
    assert rig.bad_configs, "a rig names settings that must be refused"
    for settings, word in rig.bad_configs:
        with pytest.raises(ConfigError) as caught:
            make(settings)
        assert word in str(caught.value), f"{settings}: {caught.value}"


def test_settings_may_be_a_mapping_or_the_checked_model(rig: Rig, make: Maker) -> None:
    from_mapping = make().config
    cls = connector(rig.kind)
    assert cls.Config.parse(rig.config()) == from_mapping
    assert cls(from_mapping, context=make.context).config is from_mapping


def test_settings_of_another_connector_are_a_type_error(rig: Rig, make: Maker) -> None:
    class Other(Settings):
        pass

    with pytest.raises(TypeError, match="Config"):
        connector(rig.kind)(Other(), context=make.context)


@needs(_has_secrets)
def test_a_secret_shows_nowhere(rig: Rig, make: Maker) -> None:
    paths = list(_secret_keys(connector(rig.kind).Config))
    accepted = 0
    for path in paths:
        settings = _with(rig.config(), path, _CANARY)
        shown = []
        try:
            shown += _shown(make(settings))
            accepted += 1
        except ConfigError as error:  # such as a token's key without what the token is for
            shown += [str(error), repr(error)]
        for wrong in ({**settings, "nonsense_key": 1}, _with(rig.config(), path, [_CANARY])):
            with pytest.raises(ConfigError) as caught:
                make(wrong)
            shown += [str(caught.value), repr(caught.value), repr(caught.value.__context__)]
        assert not [text for text in shown if _CANARY in text], ".".join(path)
    assert accepted or not paths, "no secret was ever accepted: has the rig settings of its own?"


def _shown(made: Connector[Any]) -> list[str]:
    """Every way in which a connector and its settings can be written."""
    return [
        repr(made), str(made), repr(made.config), str(made.config), f"{made.config}",
        repr(made.config.model_dump()), made.config.model_dump_json(),
        json.dumps(made.config.model_dump(mode="json"), default=str),
    ]  # fmt: skip


def _with(settings: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """A copy with one value set; a short form of the same key gives way."""
    key, *rest = path
    if not rest:
        return {**settings, key: value}
    inner = settings.get(key)
    return {
        **settings,
        key: _with(dict(inner) if isinstance(inner, dict) else {}, tuple(rest), value),
    }


def test_a_time_out_of_nothing_is_refused(make: Maker) -> None:
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="time"):
            make().set_timeout(wrong)
