"""Whether the Hugging Face hub can be reached, without loading its client."""

import os
import socket
import urllib.parse
import urllib.request

__all__ = ["unreachable_hub"]

_ENDPOINT = "https://huggingface.co"  # unless HF_ENDPOINT names another one
_SECONDS = 5.0  # the hub's own client would try for most of a minute


def unreachable_hub() -> str | None:
    """Why the hub does not answer; None where it does, or where a proxy hides it."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return "HF_HUB_OFFLINE is set"
    if urllib.request.getproxies():
        return None  # behind a proxy only the hub's own client can tell
    address = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT", _ENDPOINT))
    try:
        socket.create_connection((address.hostname or "", address.port or 443), _SECONDS).close()
    except OSError as error:
        return f"{address.hostname} does not answer ({error})"
    return None
