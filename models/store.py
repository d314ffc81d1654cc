"""Where a run lies: a folder of this machine, which is a plain `Path`, or a bucket of an S3 store, by fsspec.

What a file system gives by renaming, a store gives by itself: an object is put whole or not at all, is read
as it was put last, and can be put only where none is. Nothing is appended and nothing is renamed. An object
that is not there is told from a store that does not say: whoever took one for the other would begin anew. Not
covered: stores of another protocol, and two commands that write one run at once.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from agent import durable
from agent.errors import PlumblineError

CONNECT_S, ANSWER_S, TRIES = 10, 30, 3
WAITS_S: tuple[float, ...] = (
    1,
    2,
    5,
    10,
    20,
    40,
    60,
    60,
    60,
)  # before a put is tried again: hours hang on it
EXTRA = "pip install 'plumbline[store]'"
ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<slashes>/*)(?P<rest>.*)", re.DOTALL)

# By the store's code, the HTTP status, and the names of what the libraries raise; the first that fits.
# What may pass by itself is waited for.
PASSING: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset({"SlowDown", "500", "502", "503", "504"}),
        "the store is out of order or too busy; look at the store",
    ),
    (
        frozenset(
            {"HTTPClientError", "ConnectionError", "TimeoutError", "ClientPayloadError", "FSTimeoutError"}
        ),
        "the store does not answer; check the network and AWS_ENDPOINT_URL",
    ),
)
LASTING: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"NoSuchBucket"}), "there is no such bucket; make it, or check the address"),
    (
        frozenset(
            {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"}
        ),
        "no credentials for it are set; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    (
        frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}),
        "the store does not take these credentials; renew them",
    ),
    (
        frozenset({"RequestTimeTooSkewed"}),
        "the store says that this machine's clock is wrong; set it, for example by NTP",
    ),
    (
        frozenset({"ENOSPC", "EDQUOT"}),
        "this machine's folder for temporary files is full; make room there, or set TMPDIR to another",
    ),
    (
        frozenset({"507", "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"}),
        "the store has no room left; make room there",
    ),
    (
        frozenset({"AccessDenied", "403"}),
        "the store denies it; these credentials need s3:GetObject, s3:PutObject and s3:ListBucket there",
    ),
    (
        frozenset({"PermanentRedirect", "301", "AuthorizationHeaderMalformed"}),
        "the bucket is in another region; set AWS_REGION to that one",
    ),
    (frozenset({"SSLError"}), "its certificate is not trusted; set AWS_CA_BUNDLE to its authority's"),
    (frozenset({"NoSuchKey", "404", "FileNotFoundError"}), "is not there; check the address"),
    (
        frozenset({"InvalidBucketName", "ParamValidationError", "ValueError"}),
        "no bucket or store can have this address; correct it, or AWS_ENDPOINT_URL",
    ),
)
GOES_ON = "then the same command goes on from the last checkpoint"


class StoreError(PlumblineError):
    """A store that does not do what it was asked for; says the place, what is wrong and what to do."""

    def __init__(self, words: str, *, may_pass: bool = False) -> None:
        super().__init__(words)
        self.may_pass = may_pass


class Place(Protocol):
    """A file or folder of a run, wherever it lies; every `Path` is one. Each call raises StoreError."""

    @property
    def name(self) -> str: ...

    @property
    def parent(self) -> Place: ...

    def __truediv__(self, name: str, /) -> Place: ...

    def is_file(self) -> bool: ...

    def read_bytes(self) -> bytes: ...

    def read_text(self, encoding: str | None = None) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ObjectPath:
    """An object of a bucket, or what the names of several begin with."""

    bucket: str
    key: str
    files: Any = field(repr=False, compare=False)  # fsspec's file system

    def __str__(self) -> str:
        return f"s3://{self._path}"

    def __truediv__(self, name: str) -> ObjectPath:
        return replace(self, key=f"{self.key}/{name}" if self.key else name)

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2] or self.bucket

    @property
    def parent(self) -> ObjectPath:
        return replace(self, key=self.key.rpartition("/")[0])

    def is_file(self) -> bool:
        """False only where the store says that there is no such object."""
        with self._told():
            try:
                return bool(self.files.info(self._path)["type"] == "file")
            except FileNotFoundError as error:
                if "NoSuchBucket" in _names(error):
                    raise
                return False

    def read_bytes(self) -> bytes:
        with self._told():
            return bytes(self.files.cat_file(self._path))

    def read_text(self, encoding: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8")

    def put(self, content: bytes) -> None:
        """Have the object be this, at once or not at all."""
        self._put(lambda: self.files.pipe_file(self._path, content))

    def put_new(self, content: bytes) -> bool:
        """The same where there is none; False where there is one, which stays."""
        try:
            self._put(lambda: self.files.pipe_file(self._path, content, mode="create"))
        except FileExistsError:
            return False
        return True

    def put_file(self, here: Path) -> None:
        """Have the object be what this file holds, at once or not at all, however large it is."""
        self._put(lambda: self.files.put_file(str(here), self._path))

    def get_file(self, here: Path) -> None:
        """Write the object into a file of this machine."""
        with self._told():
            self.files.get_file(self._path, str(here))

    def _put(self, act: Callable[[], object]) -> None:
        """Wait for a store that is away for a while: what is put took long to compute."""
        for wait_s in (*WAITS_S, None):
            try:
                with self._told():
                    act()
                return
            except StoreError as error:
                if wait_s is None or not error.may_pass:
                    raise
                time.sleep(wait_s)

    @property
    def _path(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except Exception as error:
            raise _as_told(self, _names(error)) from error


def place(address: str) -> Place:
    """A path of this machine, also as file:///..., or s3://BUCKET/RUN; asks no store. Raises StoreError."""
    found = ADDRESS.fullmatch(address)
    if found is None or (not found["slashes"] and found["scheme"].lower() not in ("s3", "file")):
        return Path(address)
    scheme, slashes, rest = found["scheme"].lower(), found["slashes"], found["rest"]
    if scheme == "file" and len(slashes) == 3:
        return Path("/" + unquote(rest))
    if scheme != "s3" or slashes != "//":
        raise StoreError(
            f"{scheme}:{slashes}: no address of a run; give a path, file:///PATH or s3://BUCKET/RUN"
        )
    bucket, _, key = rest.partition("/")
    if "@" in rest or ":" in bucket:
        raise StoreError(
            "s3://: the address holds credentials, which others see in it; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and give s3://BUCKET/RUN"
        )
    parts = [part for part in key.split("/") if part]
    if not bucket or not parts or {".", ".."} & set(parts) or re.search(r"[?#\s]", rest):
        raise StoreError(f"s3://{rest}: names no run in a bucket; give s3://BUCKET/RUN")
    return ObjectPath(bucket=bucket, key="/".join(parts), files=_s3())


def write(path: Place, content: bytes) -> None:
    """Have `path` hold this, whole or as it was before. Raises OSError and StoreError."""
    if isinstance(path, ObjectPath):
        path.put(content)
    else:
        here = local(path)
        here.parent.mkdir(parents=True, exist_ok=True)
        durable.replace_file(here, [content])


def local(path: Place) -> Path:
    """The place as the path of this machine that it is. Raises StoreError for another."""
    if isinstance(path, Path):
        return path
    raise StoreError(f"{path}: lies in a store; give a path of this machine")


def _s3() -> Any:
    try:
        import fsspec

        files = fsspec.filesystem(
            "s3",
            skip_instance_cache=True,
            use_listings_cache=False,
            config_kwargs={
                "connect_timeout": CONNECT_S,
                "read_timeout": ANSWER_S,
                "retries": {"mode": "standard", "total_max_attempts": TRIES},
            },
        )
        files.retries = 1  # its own ones come on top of these
        return files
    except ImportError as error:
        raise StoreError(f"s3://: its library is not installed; {EXTRA}") from error


def _names(error: BaseException | None) -> set[str]:
    """What an error is called by store, protocol, libraries and system, its causes included."""
    names: set[str] = set()
    while error is not None:
        names |= {kind.__name__ for kind in type(error).__mro__}
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            names.add(str(response.get("Error", {}).get("Code")))
            names.add(str(response.get("ResponseMetadata", {}).get("HTTPStatusCode")))
        elif isinstance(error, OSError) and error.errno is not None and error.__cause__ is None:
            names.add(errno.errorcode.get(error.errno, ""))
        error = error.__cause__
    return names


def _as_told(path: ObjectPath, names: set[str]) -> StoreError:
    for known, words in LASTING:
        if known & names:
            return StoreError(f"{path}: {words}")
    for known, words in PASSING:
        if known & names:
            return StoreError(f"{path}: {words}; {GOES_ON}", may_pass=True)
    unknown = sorted(names - {"object", "BaseException", "Exception", "OSError", "None", "200"})
    return StoreError(f"{path}: the store cannot do it ({', '.join(unknown)}); look at the store; {GOES_ON}")
