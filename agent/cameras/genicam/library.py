"""Aravis through ctypes: found, declared and called; its errors become Python's."""

from __future__ import annotations

import ctypes
import importlib.util
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from agent.cameras.camera import CameraMisconfigured

SONAME = "libaravis-0.8.so.0"
REMEDY = "install it: apt-get install libaravis-0.8-0, or pip install aravis-python"

_P, _S, _INT, _UINT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint
_I64, _U64, _U32, _F64 = ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_double

# Name: result, arguments. These never fail.
_PLAIN: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "arv_update_device_list": (None, ()),
    "arv_get_n_devices": (_UINT, ()),
    "arv_get_device_id": (_S, (_UINT,)),
    "arv_get_device_vendor": (_S, (_UINT,)),
    "arv_get_device_model": (_S, (_UINT,)),
    "arv_get_device_serial_nbr": (_S, (_UINT,)),
    "arv_get_device_address": (_S, (_UINT,)),
    "arv_get_device_protocol": (_S, (_UINT,)),
    "arv_camera_get_device": (_P, (_P,)),
    "arv_camera_is_gv_device": (_INT, (_P,)),
    "arv_camera_gv_set_stream_options": (None, (_P, _INT)),
    "arv_camera_create_chunk_parser": (_P, (_P,)),
    "arv_gv_device_is_controller": (_INT, (_P,)),
    "arv_device_error_quark": (_U32, ()),
    "arv_device_get_feature": (_P, (_P, _S)),
    "arv_buffer_new": (_P, (ctypes.c_size_t, _P)),
    "arv_buffer_get_status": (_INT, (_P,)),
    "arv_buffer_get_frame_id": (_U64, (_P,)),
    "arv_buffer_get_timestamp": (_U64, (_P,)),
    "arv_buffer_get_system_timestamp": (_U64, (_P,)),
    "arv_buffer_get_image_width": (_INT, (_P,)),
    "arv_buffer_get_image_height": (_INT, (_P,)),
    "arv_buffer_get_image_pixel_format": (_U32, (_P,)),
    "arv_buffer_has_chunks": (_INT, (_P,)),
    "arv_stream_push_buffer": (None, (_P, _P)),
    "arv_stream_timeout_pop_buffer": (_P, (_P, _U64)),
    "arv_stream_get_n_infos": (_UINT, (_P,)),
    "arv_stream_get_info_name": (_S, (_P, _UINT)),
    "arv_stream_get_info_uint64": (_U64, (_P, _UINT)),
    "arv_gc_feature_node_get_actual_access_mode": (_INT, (_P,)),
    "arv_gc_boolean_get_type": (ctypes.c_size_t, ()),
    "arv_gc_command_get_type": (ctypes.c_size_t, ()),
    "arv_gc_enumeration_get_type": (ctypes.c_size_t, ()),
    "arv_gc_integer_get_type": (ctypes.c_size_t, ()),
    "arv_gc_float_get_type": (ctypes.c_size_t, ()),
    "arv_gc_string_get_type": (ctypes.c_size_t, ()),
}
# These have a GError as their last argument, which is not listed here.
_FALLIBLE: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "arv_camera_new": (_P, (_S,)),
    "arv_gv_device_take_control": (_INT, (_P,)),
    "arv_camera_get_payload": (_UINT, (_P,)),
    "arv_camera_get_pixel_format": (_U32, (_P,)),
    "arv_camera_get_pixel_format_as_string": (_S, (_P,)),
    "arv_camera_create_stream": (_P, (_P, _P, _P)),
    "arv_camera_start_acquisition": (None, (_P,)),
    "arv_camera_stop_acquisition": (None, (_P,)),
    "arv_camera_gv_set_packet_size": (None, (_P, _INT)),
    "arv_camera_gv_get_packet_size": (_UINT, (_P,)),
    "arv_chunk_parser_get_integer_value": (_I64, (_P, _P, _S)),
    "arv_gc_boolean_get_value": (_INT, (_P,)),
    "arv_gc_boolean_set_value": (None, (_P, _INT)),
    "arv_gc_command_execute": (None, (_P,)),
    "arv_gc_enumeration_get_string_value": (_S, (_P,)),
    "arv_gc_enumeration_set_string_value": (None, (_P, _S)),
    "arv_gc_enumeration_dup_available_string_values": (_P, (_P, ctypes.POINTER(_UINT))),
    "arv_gc_integer_get_value": (_I64, (_P,)),
    "arv_gc_integer_set_value": (None, (_P, _I64)),
    "arv_gc_integer_get_min": (_I64, (_P,)),
    "arv_gc_integer_get_max": (_I64, (_P,)),
    "arv_gc_integer_get_inc": (_I64, (_P,)),
    "arv_gc_float_get_value": (_F64, (_P,)),
    "arv_gc_float_set_value": (None, (_P, _F64)),
    "arv_gc_float_get_min": (_F64, (_P,)),
    "arv_gc_float_get_max": (_F64, (_P,)),
    "arv_gc_string_get_value": (_S, (_P,)),
    "arv_gc_string_set_value": (None, (_P, _S)),
}
_GOBJECT: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "g_object_unref": (None, (_P,)),
    "g_signal_connect_data": (ctypes.c_ulong, (_P, _S, _P, _P, _P, _INT)),
    "g_type_check_instance_is_a": (_INT, (_P, ctypes.c_size_t)),
    "g_error_free": (None, (_P,)),
    "g_free": (None, (_P,)),
}

_UNANSWERED = (2, 4, 5)  # not connected, transfer error, timeout

# Two calls read a description with Aravis' parser, whose state is one static variable of the library: both
# at a time mix up the features of two cameras, or end the process. Connecting may take seconds: a chunk
# parser waits for one connection, and not behind all the cameras that want to connect.
_connecting, _parsing = threading.Lock(), threading.Lock()
_HELD = {"arv_camera_new": (_connecting, _parsing), "arv_camera_create_chunk_parser": (_parsing,)}

ControlLost = ctypes.CFUNCTYPE(None, _P, _P)


class AravisError(Exception):
    """What Aravis says of a call that failed; `unanswered`: the camera said nothing at all."""

    def __init__(self, message: str, *, unanswered: bool = False) -> None:
        super().__init__(message)
        self.unanswered = unanswered


class _GError(ctypes.Structure):
    _fields_ = (("domain", _U32), ("code", _INT), ("message", _S))


class Library:
    """The functions listed above by their C names, as `library.arv_camera_new(b"...")`."""

    def __init__(self, handle: ctypes.CDLL) -> None:
        self._handle = handle
        self._functions: dict[str, Callable[..., Any]] = {}
        for name, (result, arguments) in (_PLAIN | _GOBJECT).items():
            self._functions[name] = self._declared(name, result, arguments)
        for name, (result, arguments) in _FALLIBLE.items():
            error = ctypes.POINTER(ctypes.POINTER(_GError))
            self._functions[name] = self._raising(self._declared(name, result, (*arguments, error)))
        for name, locks in _HELD.items():
            self._functions[name] = _holding(locks, self._functions[name])

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return self._functions[name]
        except KeyError:
            raise AttributeError(name) from None

    def set_socket_buffer(self, stream: int, size_bytes: int) -> None:
        """A UDP receive buffer of this size, whatever a payload has (`socket-buffer` FIXED)."""
        put = self._handle.g_object_set
        put(_P(stream), _S(b"socket-buffer"), _INT(0), _S(b"socket-buffer-size"), _INT(size_bytes), None)

    def _declared(self, name: str, result: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        function = getattr(self._handle, name)  # those of GLib, too: dlsym looks into what a library links
        function.restype, function.argtypes = result, arguments
        return function  # type: ignore[no-any-return]

    def _raising(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            error = ctypes.POINTER(_GError)()
            result = function(*arguments, ctypes.byref(error))
            if error:
                said = error.contents
                message = said.message.decode(errors="replace")
                is_devices = said.domain == self._functions["arv_device_error_quark"]()
                unanswered = is_devices and said.code in _UNANSWERED
                self._functions["g_error_free"](error)
                raise AravisError(message, unanswered=unanswered)
            return result

        return call


def _holding(locks: tuple[threading.Lock, ...], function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        with ExitStack() as held:
            for lock in locks:
                held.enter_context(lock)
            return function(*arguments)

    return call


@cache
def load() -> Library:
    """Debian's library, else that of the package aravis-python; raises CameraMisconfigured without one."""
    wheel = importlib.util.find_spec("aravis")  # found, not imported: its own import needs PyGObject
    places = [SONAME]
    if wheel is not None and wheel.origin is not None:
        places.append(str(Path(wheel.origin).parent / "lib" / SONAME))
    said = []
    for place in places:
        try:
            return Library(ctypes.CDLL(place))
        except (OSError, AttributeError) as error:
            said.append(str(error))
    raise CameraMisconfigured(
        f"Aravis, which GenICam cameras need, cannot be loaded ({'; '.join(said)}); {REMEDY}"
    )
