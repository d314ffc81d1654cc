"""config/ says what the code does: the same defaults, a comment for each key, a schema that is current."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from agent.schemas.printed import printed
from agent.settings import gateways as gateway_settings
from agent.settings import outputs as output_settings
from agent.settings import settings
from agent.settings.camera import (
    FolderSource,
    GenicamSource,
    HarvestersSource,
    LinescanSimSource,
    VideoSource,
)
from agent.settings.gateways import FolderGateway
from agent.settings.outputs import Output
from agent.settings.reach import REACHES, table
from agent.settings.recipes import Recipe
from agent.settings.settings import Settings

CONFIG = Path(__file__).resolve().parents[3] / "config"
AGENT_YAML = (CONFIG / "agent.yaml").read_text(encoding="utf-8")
EXAMPLE_LINE = re.compile(r"^( *)#((?:  )*(?:- )?[a-z_]+:.*|  +# .*)$")
KEY = re.compile(r"^ *(?:- )?[a-z_]+:")
KINDS: dict[str, type[BaseModel]] = {
    "folder": FolderSource,
    "video": VideoSource,
    "linescan-sim": LinescanSimSource,
    "genicam": GenicamSource,
    "harvesters": HarvestersSource,
}


def blocks(key: str) -> list[str]:
    """The examples of agent.yaml that start with `key`, out of their comments."""
    found: list[list[str]] = []
    for line in AGENT_YAML.splitlines():
        example = EXAMPLE_LINE.match(line)
        if example:
            if re.fullmatch(r"[a-z]+:", example[2]):
                found.append([])
            found[-1].append(example[1] + example[2])
    texts = [textwrap.dedent("\n".join(lines)) + "\n" for lines in found]
    return [text for text in texts if text.startswith(f"{key}:")]


def examples() -> dict[str, str]:
    """The example sources of agent.yaml by kind."""
    return {yaml.safe_load(text)["source"]["kind"]: text for text in blocks("source")}


def uncommented_keys(text: str) -> list[str]:
    """Lines with a key that has a comment neither at its end nor directly above."""
    lines = text.splitlines()
    return [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if KEY.match(line) and "  # " not in line and not re.match(r" *# \S", above)
    ]


def same(one: Any, other: Any) -> bool:
    """Equal in value, type and order of keys."""
    return json.dumps(one) == json.dumps(other)


def test_agent_yaml_equals_the_defaults_of_the_code_key_for_key() -> None:
    written = yaml.safe_load(AGENT_YAML)
    assert same(written, Settings().model_dump(mode="json"))


def test_agent_yaml_loads_as_the_defaults_with_its_paths_anchored() -> None:
    loaded = settings.load(CONFIG / "agent.yaml", {})
    assert loaded.outbox.path == CONFIG / "plumbline-outbox.sqlite3"
    assert loaded.mqtt == Settings().mqtt


def test_every_key_of_agent_yaml_has_a_comment() -> None:
    assert uncommented_keys(AGENT_YAML) == []


def test_agent_yaml_says_once_how_changes_come_into_force() -> None:
    assert (AGENT_YAML.count("restart"), AGENT_YAML.count("SIGHUP")) == (0, 1)
    head = AGENT_YAML[: AGENT_YAML.index("version: 1")]
    assert all(f'"Reach: {reach}"' in head for reach in REACHES if reach != "run")


def test_agent_yaml_says_how_far_each_key_reaches_as_the_models_do() -> None:
    said: dict[str, set[str]] = {}
    for reach, key in re.findall(r"Reach: (\w+)\.\n[ #]*(?:- )?([a-z_]+):", AGENT_YAML):
        said.setdefault(key, set()).add(reach)
    meant: dict[str, set[str]] = {}
    for dotted, reach in table(Settings).items():
        meant.setdefault(dotted.rpartition(".")[2], set()).add(reach)
    assert said == meant


def test_every_kind_of_source_is_shown() -> None:
    shown = {"folder", *examples()}
    variants = Settings.model_json_schema()["$defs"]["Camera"]["properties"]["source"]["discriminator"][
        "mapping"
    ]
    assert shown == set(variants) == set(KINDS)


@pytest.mark.parametrize("kind", ["video", "linescan-sim", "genicam", "harvesters"])
def test_an_example_source_takes_the_place_of_the_default_one(kind: str) -> None:
    before, after = AGENT_YAML.split("    source:\n", 1)
    rest = after[after.index("\n\n") :]
    text = before + textwrap.indent(examples()[kind], " " * 4) + rest
    loaded = settings.parse(text, name="agent.yaml", base=Path("/etc/plumbline"), environment={})
    assert loaded.cameras[0].source.kind == kind


@pytest.mark.parametrize("kind", ["video", "linescan-sim", "genicam", "harvesters"])
def test_an_example_source_shows_every_key_with_its_default_and_a_comment(kind: str) -> None:
    text = examples()[kind]
    shown = yaml.safe_load(text)["source"]
    required = {key: shown[key] for key, field in KINDS[kind].model_fields.items() if field.is_required()}
    assert same(shown, KINDS[kind](**required).model_dump(mode="json"))
    assert uncommented_keys(text.partition("\n")[2]) == []


def test_the_example_gateways_show_every_kind_and_key_with_its_default_and_a_comment() -> None:
    (text,) = blocks("gateways")
    shown = yaml.safe_load(text)["gateways"]
    variants = Settings.model_json_schema()["properties"]["gateways"]["items"]["discriminator"]["mapping"]
    assert sorted(one["kind"] for one in shown) == sorted(variants)
    kinds = {kind: vars(gateway_settings)[name.rpartition("/")[2]] for kind, name in variants.items()}
    for one in shown:
        model = kinds[one["kind"]]
        required = {key: one[key] for key, field in model.model_fields.items() if field.is_required()}
        assert same(one, model(**required).model_dump(mode="json"))
    assert uncommented_keys(text.partition("\n")[2]) == []


def test_the_example_recipe_takes_the_place_of_none_and_shows_every_key_with_a_comment() -> None:
    (example,) = blocks("recipes")
    text = AGENT_YAML.replace("recipes: []\n", example)
    loaded = settings.parse(text, name="agent.yaml", base=Path("/etc/plumbline"), environment={})
    shown = yaml.safe_load(example)["recipes"][0]
    written = loaded.recipes[0].model_dump(mode="json")
    assert same(shown, written)
    given = {key: shown[key] for key in ("name", "parts", "products", "cameras")}
    assert same(shown, Recipe.model_validate_json(json.dumps(given)).model_dump(mode="json"))
    assert uncommented_keys(example.partition("\n")[2]) == []


def test_the_example_gateways_take_the_place_of_none() -> None:
    (example,) = blocks("gateways")
    text = AGENT_YAML.replace("gateways: []\n", example)
    loaded = settings.parse(text, name="agent.yaml", base=Path("/etc/plumbline"), environment={})
    assert [gateway.name for gateway in loaded.gateways] == [
        "webhook",
        "folder",
        "opcua",
        "modbus",
        "sparkplug",
    ]
    folder = loaded.gateways[1]
    assert isinstance(folder, FolderGateway) and folder.path == Path("/etc/plumbline/results")


def test_the_example_outputs_show_every_kind_of_gate_and_key_with_its_default_and_a_comment() -> None:
    (text,) = blocks("outputs")
    shown = yaml.safe_load(text)["outputs"]
    variants = Settings.model_json_schema()["$defs"]["Output"]["properties"]["gate"]["discriminator"][
        "mapping"
    ]
    assert sorted(one["gate"]["kind"] for one in shown) == sorted(variants)
    kinds = {kind: vars(output_settings)[name.rpartition("/")[2]] for kind, name in variants.items()}
    for one in shown:
        model, gate = kinds[one["gate"]["kind"]], one["gate"]
        told = {
            key: value for key, value in gate.items() if value not in (None, model.model_fields[key].default)
        }
        assert same(gate, model(**{**told, "kind": gate["kind"]}).model_dump(mode="json"))
    first = Output.model_validate_json(json.dumps(shown[0])).model_dump(mode="json")
    assert same(shown[0], first)
    needed = {key: shown[0][key] for key in ("camera", "tracking", "gate")}
    assert same(shown[0], Output.model_validate_json(json.dumps(needed)).model_dump(mode="json"))
    assert {one["tracking"]["kind"] for one in shown} == {"encoder", "time"}
    assert uncommented_keys(text.partition("\n")[2]) == []


def test_the_example_outputs_take_the_place_of_none_where_the_camera_has_lines_and_an_encoder() -> None:
    (example,) = blocks("outputs")
    text = AGENT_YAML.replace("outputs: []\n", example)
    before, _, rest = text.partition("    source:\n")
    source = textwrap.indent(examples()["genicam"], " " * 4)
    text = before + source + rest[rest.index("    web:") if "    web:" in rest else 0 :]
    loaded = settings.parse(text, name="agent.yaml", base=Path("/etc/plumbline"), environment={})
    assert [output.name for output in loaded.outputs] == ["reject", "divert", "lamp", "siren"]


def test_the_example_of_a_site_is_valid_and_encrypted_and_only_differs() -> None:
    path = CONFIG / "sites" / "example.yaml"
    loaded = settings.load(path, {})
    assert loaded.mqtt.tls and loaded.mqtt.username and loaded.mqtt.password_file
    assert loaded.page.host == "127.0.0.1"
    defaults = Settings().model_dump(mode="json")
    for section, values in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        if section == "version" or not isinstance(values, dict):
            continue
        for key, value in values.items():
            assert value != defaults[section][key], f"{section}.{key} is the default"


def test_the_schema_on_disk_is_current() -> None:
    written = json.loads((CONFIG / "agent.schema.json").read_text(encoding="utf-8"))
    assert same(written, printed("settings")), "run `make schema`"


@pytest.mark.parametrize("path", ["agent.yaml", "sites/example.yaml"])
def test_an_editor_that_knows_the_schema_accepts_the_files(path: str) -> None:
    schema = json.loads((CONFIG / "agent.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate(yaml.safe_load((CONFIG / path).read_text(encoding="utf-8")))
