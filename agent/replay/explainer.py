"""Explanations for whoever asks again until one is there; one is made at a time.

The page closes connections sooner than a loaded station may answer, so a thread of its own waits for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.explain.document import Explanation

PATIENCE_S = 5.0  # of one who asks
KEPT = 4  # explanations, the last ones


class Explainer:
    """From any thread."""

    def __init__(self, explain: Callable[[str], Explanation], *, patience_s: float = PATIENCE_S) -> None:
        """`explain` makes one by its result_id, and raises a PlumblineError where it cannot."""
        self._explain = explain
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._working: str | None = None
        self._found: OrderedDict[str, Explanation | PlumblineError] = OrderedDict()

    def ask(self, result_id: str) -> dict[str, Any]:
        """`state` is done, with what was `explained`, or working: ask again.

        Raises NotDoneError while another result is explained, and once what stood against this one.
        """
        with self._changed:
            if result_id not in self._found:
                if self._working is None:
                    self._working = result_id
                    threading.Thread(
                        target=self._work, args=(result_id,), name="explain", daemon=True
                    ).start()
                elif self._working != result_id:
                    raise NotDoneError("occupied", "another result is being explained; ask again after that")
                self._changed.wait_for(lambda: self._working != result_id, self._patience_s)
            found = self._found.get(result_id)
            if isinstance(found, PlumblineError):
                del self._found[result_id]  # the next one who asks may find it mended
                raise found
            if found is None:
                return {"state": "working"}
        return {"state": "done", "explained": found.model_dump(mode="json", by_alias=True)}

    def _work(self, result_id: str) -> None:
        found: Explanation | PlumblineError
        try:
            found = self._explain(result_id)
        except PlumblineError as error:
            found = error
        except Exception as error:  # whoever asks has to hear it
            found = PlumblineError(f"it ended by {type(error).__name__}: {error}")
        with self._changed:
            self._found[result_id] = found
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
            self._working = None
            self._changed.notify_all()
