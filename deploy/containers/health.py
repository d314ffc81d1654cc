"""Whether the agent of this container answers, as its exit code, and how it is, in words.

Degraded is healthy: it works as far as it can, and no restart brings a broker or a camera back.
"""

from __future__ import annotations

import http.client
import json
import os
import sys

HEALTHY = {"running", "degraded"}
TIMEOUT_S = 4.0


def main() -> int:
    """0 for an agent that serves; 1 for one that starts, has ended or stands still."""
    port = int(os.environ["PLUMBLINE_PAGE__PORT"])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        health = json.loads(connection.getresponse().read())
        state, reasons = health["state"], health["reasons"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        print(f"no answer from the agent at port {port}: {error!r}; is page.enabled true?")
        return 1
    print(f"{state}: {'; '.join(reasons)}" if reasons else state)
    return 0 if state in HEALTHY else 1


if __name__ == "__main__":
    sys.exit(main())
