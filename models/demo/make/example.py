"""One task example, and the rule that keeps training and held-out examples apart."""

import hashlib
from dataclasses import dataclass

HELDOUT_SHARE = 20  # one prompt in this many can only ever be held out


@dataclass(frozen=True)
class Example:
    """A user's text and the one answer that counts; `system` is the task's fixed system message, if any."""

    text: str
    expected: str
    system: str | None = None

    def messages(self) -> list[dict[str, str]]:
        head = [{"role": "system", "content": self.system}] if self.system else []
        return [*head, {"role": "user", "content": self.text}]


def is_heldout(text: str) -> bool:
    """The text alone decides its side, so no prompt can be on both whatever seeds are used."""
    digest = hashlib.sha256(text.lower().encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELDOUT_SHARE == 0
