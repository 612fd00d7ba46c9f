"""One client, whatever it speaks: its identity, its count of verbs, its room, what it listens to, its parameters."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ahd.core import errors
from ahd.core.message import JsonObject, now_ms
from ahd.core.pace import Bucket

if TYPE_CHECKING:
    from ahd.core.interfaces import Link
    from ahd.core.permissions import Rights

Answer = Callable[[JsonObject], None]
"""Takes the one reply to one verb and never waits.

It encodes the reply before it sends any of it. For a reply that has no JSON form it raises TypeError, ValueError or
RecursionError and has sent nothing; it is then called once more, with an error. It raises nothing else.
"""

NO_ROOMS: frozenset[str] = frozenset()
NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


class Count:
    """A number that goes up. An attribute: an item of a dict takes half as long again to count."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Tally:
    """Good answers that the clients of one kind of server have had: of actions by name, of other verbs by verb."""

    __slots__ = ("actions", "verbs")

    def __init__(self) -> None:
        self.actions: defaultdict[str, Count] = defaultdict(Count)
        self.verbs: defaultdict[str, Count] = defaultdict(Count)


class Connection:
    """One client's state. Made by a server when the client is there, owned by it, given to `Verbs`.

    `id` is the public id, `kind` the kind of server ("webSocket", "socket", "web"), `remote_address` the client's own
    address (behind trusted proxies too), `link` the way out. `room` is the current room ("" before the first).
    `count` is how many verbs have arrived, `pending` how many actions are under way now.
    """

    __slots__ = (
        "_params",
        "authenticated",
        "backlog",
        "bucket",
        "busy",
        "claims",
        "connected_at",
        "count",
        "defaults",
        "expires_at",
        "given",
        "gone",
        "id",
        "kind",
        "link",
        "listening",
        "pending",
        "remote_address",
        "rights",
        "room",
        "saying",
        "sticky",
        "tally",
        "total_actions",
        "watched",
    )

    def __init__(self, id: str, kind: str, remote_address: str, link: Link, params: Mapping[str, Any]) -> None:
        self.id = id
        self.kind = kind
        self.remote_address = remote_address
        self.link = link
        self._params = params
        self.given: Mapping[str, Any] | None = None
        """The parameters of its last action as they came, until somebody asks for `params`."""
        self.defaults = params
        """What `params` has where the client gave nothing. Shared."""
        self.sticky = False
        """Whether `params` are the client's to set, so that an action leaves them alone (TCP)."""
        self.connected_at = now_ms()
        self.room = ""
        self.listening: set[str] | frozenset[str] = NO_ROOMS
        self.claims: Mapping[str, Any] = NO_CLAIMS
        """What the client's token says of it; in no log."""
        self.authenticated = False
        """Whether it has shown a token."""
        self.expires_at: float | None = None
        """When that token expires, in epoch seconds (None: never)."""
        self.rights: Rights | None = None
        """What the rules come to for it, once they have been asked; the permissions' own."""
        self.count = 0
        self.pending = 0
        self.saying = 0
        """Says that are on their way to the store."""
        self.total_actions = 0
        self.tally: Tally | None = None
        """Where its good answers are counted, if they are."""
        self.busy = False
        """A verb of this connection waits for the store; those that arrive meanwhile stand in `backlog`."""
        self.backlog: deque[tuple[str, Any, int, Answer]] | None = None
        self.gone = False
        """It has left, or is leaving: it must not enter a room any more."""
        self.watched = False
        """What it says is looked at before it is taken: it is `gone`, or has a `bucket`."""
        self.bucket: Bucket | None = None

    def pace(self, bucket: Bucket | None) -> None:
        """Bound how fast it may send from now on; None: not at all."""
        self.bucket = bucket
        self.watched = self.gone or bucket is not None

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters of its last action, or the sticky ones; shared until changed, so replace, never mutate."""
        if self.given is not None:
            self._params = {**self.defaults, **self.given}
            self.given = None
        return self._params

    @params.setter
    def params(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self.given = None

    def expire(self) -> None:
        """Its token holds no longer: tell it, and close it."""
        self.link.close(errors.TOKEN_EXPIRED)

    def hears(self, room: str) -> bool:
        """Whether a say in that room reaches it."""
        return room == self.room or room in self.listening

    def listen(self, room: str) -> None:
        """Add a room to those it hears without being a member."""
        if isinstance(self.listening, frozenset):
            self.listening = set()
        self.listening.add(room)

    def silence(self, room: str) -> None:
        """Take a room off those it listens to."""
        if isinstance(self.listening, set):
            self.listening.discard(room)
            if not self.listening:
                self.listening = NO_ROOMS

    def called(self, params: JsonObject) -> JsonObject:
        """The parameters of an action that is called by its name: the sticky ones, and over them those of the call."""
        if not self.sticky:
            return params
        self.params = {**self.params, "action": params.get("action")}
        return {**self.params, **params}

    def details(self) -> JsonObject:
        """What `detailsView` tells."""
        return {
            "params": dict(self.params),
            "public": {"id": self.id, "connectedAt": self.connected_at},
            "room": self.room,
            "totalActions": self.total_actions,
            "pendingActions": self.pending,
        }
