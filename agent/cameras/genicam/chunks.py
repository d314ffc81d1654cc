"""The values that come with a block: line counter, encoder and input lines."""

from __future__ import annotations

from agent.cameras.camera import CameraMisconfigured
from agent.cameras.genicam.library import AravisError, Library
from agent.settings.camera import GenicamSource


class Chunks:
    """The values that come with each block, by the names that the settings give."""

    def __init__(
        self, library: Library, parser: int, names: tuple[str | None, str | None, str | None]
    ) -> None:
        self.parser = parser
        self._library = library
        self._names = names

    @classmethod
    def create(
        cls, library: Library, camera: str, source: GenicamSource, handle: int, device: int
    ) -> Chunks | None:
        """None where the settings name none; raises CameraMisconfigured for one the camera does not have."""
        names = (source.line_counter_chunk, source.encoder_chunk, source.line_status_chunk)
        for name in filter(None, names):
            if not library.arv_device_get_feature(device, name.encode()):
                raise CameraMisconfigured(
                    f"{camera} at {source.address}: chunk {name}: the camera has no such chunk; correct the"
                    " name, or set it to null"
                )
        if not any(names):
            return None
        return cls(library, library.arv_camera_create_chunk_parser(handle), names)

    def read(self, camera: str, buffer: int) -> tuple[int | None, int | None, int | None]:
        if not self._library.arv_buffer_has_chunks(buffer):
            raise CameraMisconfigured(
                f"{camera}: blocks come without chunks; write ChunkModeActive = true in source.features, or"
                " set the chunk names to null"
            )
        counter, encoder, status = (self._value(camera, buffer, name) for name in self._names)
        return counter, encoder, status

    def _value(self, camera: str, buffer: int, name: str | None) -> int | None:
        if name is None:
            return None
        try:
            value: int = self._library.arv_chunk_parser_get_integer_value(self.parser, buffer, name.encode())
        except AravisError as error:
            raise CameraMisconfigured(
                f"{camera}: chunk {name}: {error}; enable it with ChunkSelector and ChunkEnable in"
                " source.features, or set its name to null"
            ) from error
        return value
