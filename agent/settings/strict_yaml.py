"""PyYAML without its surprises, and with the line of every key.

Refused: anchors, aliases, duplicate keys, tags. `on`, `yes`, `1:30`, `0777`, `1e3` and dates stay text; only
`true` and `false` are booleans, only decimal digits are integers, only decimals with a point are floats.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import yaml

from agent.errors import PlumblineError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000

_SPACES = re.compile(" *")
_COMMENT = re.compile(r"[^\0\r\n\x85\u2028\u2029]*")
# What libyaml takes for a blank or a line end otherwise than PyYAML, and marks of documents.
_DOUBTFUL = re.compile(
    r"[^\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]|^(?:---|\.\.\.|%)", re.MULTILINE
)

Path: TypeAlias = tuple[str | int, ...]


class YamlError(PlumblineError):
    """The text is not the YAML we accept; the message starts with `name:line:column:`."""


def load(text: str, *, name: str) -> tuple[Any, dict[Path, int]]:
    """The document as plain Python values, and the 1-based line of each key path.

    Raises YamlError for anything outside the accepted subset.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise YamlError(f"{name}:1:1: larger than {MAX_BYTES} bytes; settings are small, check the file")
    quickly = _quickly(text)
    if quickly is not None:
        return quickly
    try:
        return _read(_StrictLoader(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise YamlError(f"{name}:{place}: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n")
        raise YamlError(
            f"{name}:{len(before)}:{len(before[-1]) + 1}: character #x{error.character:04x} is not allowed;"
            " remove it"
        ) from error


def plain(text: str) -> Any:
    """One unquoted value on its own: nothing, a boolean, a number, or the text as it stands, `#` and all."""
    loader = _StrictLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return loader.construct_object(yaml.ScalarNode(tag, text))


def _read(loader: _StrictLoader | _QuickLoader) -> tuple[Any, dict[Path, int]]:
    node = loader.get_single_node()
    return (loader.construct_document(node), _lines(node, ())) if node else (None, {})


def _quickly(text: str) -> tuple[Any, dict[Path, int]] | None:
    """As `load`, by libyaml; None where that is not there, finds a fault or might read otherwise than PyYAML.

    PyYAML has the last word on every text that is refused, so the faults and their places are its own.
    """
    if not yaml.__with_libyaml__ or _DOUBTFUL.search(text):
        return None
    try:
        return _read(_QuickLoader(text))
    except yaml.YAMLError:
        return None


class _Strict(yaml.composer.Composer):
    """What a loader refuses while it puts nodes together, whoever scans the text for it."""

    check_event: Any
    peek_event: Any
    _depth = _nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed; repeat the value", mark)
        event = self.peek_event()
        if event.anchor is not None:
            problem = "anchors are not allowed; quote a text that begins with &"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        if event.tag is not None:
            # Its name is not said: it may be a password that begins with an exclamation mark.
            problem = "tag not allowed; quote a text that begins with !"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH or self._nodes > MAX_NODES:
            problem = f"nested too deeply or too long; {MAX_DEPTH} levels and {MAX_NODES} values are the most"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _StrictLoader(_Strict, yaml.SafeLoader):
    def scan_to_next_token(self) -> None:
        """As PyYAML's, but past a comment at once: most of an annotated file is comments."""
        if self.index == 0 and self.peek() == "\ufeff":
            self.forward()
        while True:
            self._pass_all(_SPACES)
            if self.buffer[self.pointer] == "#":
                self._pass_all(_COMMENT)
            if not self.scan_line_break():  # type: ignore[no-untyped-call]
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def _pass_all(self, pattern: re.Pattern[str]) -> None:
        """What stands here of one line; the whole text is in the buffer, and a NUL behind it."""
        found = pattern.match(self.buffer, self.pointer)
        length = len(found[0]) if found else 0
        self.pointer += length
        self.index += length
        self.column += length


class _QuickLoader(_Strict, yaml.CSafeLoader):
    """libyaml scans and parses, PyYAML's composer puts together; only where both read the same."""

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        yaml.composer.Composer.__init__(self)

    def compose_scalar_node(self, anchor: Any) -> Any:
        """As PyYAML's. Raises YAMLError at blocks, at texts of several lines, and at a bare question mark."""
        event = self.peek_event()
        one_line = event.style not in ("|", ">") and event.start_mark.line == event.end_mark.line
        if not one_line or (not event.style and "?" in event.value):
            raise yaml.composer.ComposerError
        return super().compose_scalar_node(anchor)


def _mapping_without_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    first_line: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is not text; quote it", key_node.start_mark
            )
        if key in first_line:
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicate key {key!r} (first on line {first_line[key]})", key_node.start_mark
            )
        first_line[key] = key_node.start_mark.line + 1
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_REPLACED = {"tag:yaml.org,2002:" + kind for kind in ("bool", "int", "float", "timestamp", "merge", "value")}
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping_without_duplicates)
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]{0,17})$"), list("-+0123456789")
)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    # No more than YAML 1.1 knows, or what PyYAML writes as plain text would be read as a number.
    re.compile(r"^(?:[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?|\.[0-9]+(?:[eE][-+][0-9]+)?|[-+]?\.inf|\.nan)$"),
    list("-+.0123456789"),
)
_QuickLoader.yaml_implicit_resolvers = _StrictLoader.yaml_implicit_resolvers
_QuickLoader.yaml_constructors = _StrictLoader.yaml_constructors


def _lines(node: yaml.Node, path: Path) -> dict[Path, int]:
    found: dict[Path, int] = {path: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*path, key.value)
            below = _lines(value, place)
            below[place] = key.start_mark.line + 1
            found.update(below)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found.update(_lines(value, (*path, index)))
    return found
