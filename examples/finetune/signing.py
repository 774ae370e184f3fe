"""Standard Webhooks with nothing but the standard library."""

import base64
import hashlib
import hmac
import json
import time
import urllib.request
import uuid


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def post_signed(url: str, secret: str, event: dict, message_id: str | None = None) -> dict:
    """Posts an event. A repetition after a lost answer must have the same `message_id`: it then has no second effect."""
    message_id = message_id or f"msg_{uuid.uuid4().hex}"
    body, timestamp = json.dumps(event).encode(), int(time.time())
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body),
    }
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return json.load(answer)
