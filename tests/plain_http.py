"""httpx for pages on this machine: no proxy of the environment, and no TLS, whose context takes 26 ms."""

from __future__ import annotations

from functools import partial

import httpx

get = partial(httpx.get, trust_env=False, verify=False)
post = partial(httpx.post, trust_env=False, verify=False)
stream = partial(httpx.stream, trust_env=False, verify=False)
Client = partial(httpx.Client, trust_env=False, verify=False)
