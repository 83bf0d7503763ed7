"""One connection's operations: login, subscriptions, and the bounds on what a client may request.

Every operation with a usable id has exactly one response, with the status that an HTTP call would
have. No I/O: output goes through the client's `send`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType

from schemas.batch import BatchResult
from schemas.brokers import Broker
from schemas.feed import Fault, FeedReply, Hello
from schemas.feed_requests import (
    SILENCE_S_MAX,
    ClientMessage,
    FeedBatch,
    FeedCancel,
    FeedCancelAll,
    FeedPlace,
    FeedReplace,
    FeedValidate,
    ListSubscriptions,
    Login,
    Logout,
    Ping,
    RequestId,
    Resync,
    Subscribe,
    Unsubscribe,
)
from services.api.brokers import Caller
from services.api.messages import ProblemError, Reply
from services.api.token_bucket import Buckets, Rate
from services.feeds.client import FeedClient, Subject
from services.feeds.hub import OWN_EVENTS, FeedHub
from services.feeds.messages import frame_of
from services.feeds.order_entry import OrderEntry
from services.feeds.raw_feed import require_room
from services.feeds.replies import Replies
from services.feeds.requested import converted, listed, subjects_of
from services.feeds.stored_trades import Stored
from services.runtime.metrics import STREAM_RESUMES

SUBSCRIPTIONS_MAX: Final = 200
SUBSCRIPTIONS_KEYED_MAX: Final = 1_000
STREAMS_PER_BROKER: Final = 50
OPERATIONS_PER_SECOND: Final = 20
OPERATIONS_BURST: Final = 100
# Operations answered 429, failed logins, and messages without a usable id, of one connection.
LIMITED_MAX: Final = 200
FAILED_LOGINS_MAX: Final = 3
FAULTS_MAX: Final = 3

KEY_REFUSED: Final = 4401
KEY_ENDED: Final = 4403
TOO_MANY_OPERATIONS: Final = 4429
POLICY: Final = 1008
INVALID_TEXT: Final = 1007

_WITH_BUDGET: Final = (
    FeedPlace,
    FeedCancel,
    FeedCancelAll,
    FeedValidate,
    FeedReplace,
    FeedBatch,
)
# In place of the operation of a message that has none.
_UNREADABLE: Final = "unreadable"

_decode = msgspec.json.Decoder(ClientMessage).decode


class _OnlyId(Struct):
    id: RequestId


_decode_id = msgspec.json.Decoder(_OnlyId).decode


class Accounts(Protocol):
    """Keys and addresses, in the form that sessions use them."""

    def caller(self, api_key: str) -> Caller | None:
        """The holder of this key; None if there is none."""

    def failed_login(self, address: str) -> ProblemError:
        """401, or 429 where the address has had too many."""


class FeedSession:
    """The operations of one client. `public`: market data needs no key."""

    def __init__(
        self,
        hub: FeedHub,
        client: FeedClient,
        accounts: Accounts,
        hello: Hello,
        clock: Callable[[], float],
        orders: OrderEntry,
    ) -> None:
        self._hub = hub
        self._client = client
        self._accounts = accounts
        self._public = hello.public
        self._clock = clock
        self._orders = orders
        self._key: str | None = None
        self._broker: Broker | None = None
        self._replies = Replies(client)
        self._operations = Buckets(Rate(OPERATIONS_PER_SECOND, OPERATIONS_BURST), 1)
        self._limited = self._failed_logins = self._faults = 0
        self._handlers: dict[type[Struct], Callable[[Any], None]] = {
            Login: self._log_in,
            Logout: self._log_out,
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
            Resync: self._resync,
            ListSubscriptions: self._list,
            Ping: self._ping,
            FeedPlace: partial(self._order, orders.place),
            FeedCancel: partial(self._order, orders.cancel),
            FeedCancelAll: partial(self._order, orders.cancel_all),
            FeedValidate: partial(self._order, orders.validate),
            FeedReplace: partial(self._order, orders.replace),
            FeedBatch: self._batch,
        }
        # The connection ends after so long without a message of the client.
        self.silence_s_max = SILENCE_S_MAX
        # False until the client logs in or subscribes.
        self.active = False
        client.send(frame_of(hello))

    def receive(self, text: bytes) -> None:
        """Carry out one message of the client; its response is written at once."""
        try:
            message = _decode(text)
        except UnicodeDecodeError:
            self._hub.cut(self._client, INVALID_TEXT, "invalid_text")
            return
        except msgspec.DecodeError as error:
            self._refuse_unreadable(text, error)
        else:
            self._answer(message)
        self._client.write_out()

    def subscribe(self, message: Subscribe) -> None:
        """Carry out a subscription that came with it. Raises ProblemError."""
        self._subscribe(message)

    @property
    def in_flight(self) -> int:
        """Number of orders and changes that wait for their responses."""
        return self._orders.in_flight

    def end(self) -> None:
        """The connection ends: cancel its orders, if the client asked for that."""
        if self._orders.cancels_at_end and self._broker is not None:
            self._orders.withdraw_all(self._broker.broker_id)

    def check_key(self) -> None:
        """End the connection if its key was valid and is no longer."""
        if self._key is not None and self._accounts.caller(self._key) is None:
            self._hub.cut(self._client, KEY_ENDED, "key_ended")

    def _refuse_unreadable(self, text: bytes, error: msgspec.DecodeError) -> None:
        try:
            request_id = _decode_id(text).id
        except msgspec.DecodeError:
            self._faults += 1
            self._client.send(frame_of(Fault("invalid", f"no usable id: {error}")))
            if self._faults >= FAULTS_MAX:
                self._client.write_out()
                self._hub.cut(self._client, POLICY, "invalid_messages")
            return
        if not self._over_rate(_UNREADABLE, request_id):
            self._replies.refuse(_UNREADABLE, request_id, ProblemError("invalid", str(error)))

    def _over_rate(self, op: str, request_id: RequestId) -> bool:
        """Take one operation from the connection's budget; True if it is answered 429."""
        if not self._operations.take("", self._clock()):
            return False
        self._limited += 1
        if self._limited >= LIMITED_MAX:
            self._hub.cut(self._client, TOO_MANY_OPERATIONS, "too_many_operations")
        else:
            detail = f"at most {OPERATIONS_PER_SECOND} operations a second"
            self._replies.refuse(op, request_id, ProblemError("rate_limited", detail))
        return True

    def _answer(self, message: ClientMessage) -> None:
        # Orders and cancels of a broker have its budgets, as by HTTP.
        is_repeated = self._replies.is_expected(message.id)
        is_order = isinstance(message, _WITH_BUDGET)
        has_budget = is_order and self._broker is not None and not is_repeated
        if not has_budget and self._over_rate(_op(message), message.id):
            return
        if is_repeated:
            problem = ProblemError("request_id_in_flight", "choose another id")
            self._replies.refuse(_op(message), message.id, problem)
            return
        self._replies.expect(message.id)
        try:
            self._handlers[type(message)](message)
        except ProblemError as problem:
            self._replies.problem(_op(message), message.id, problem)
            if self._failed_logins >= FAILED_LOGINS_MAX:
                self._client.write_out()
                self._hub.cut(self._client, KEY_REFUSED, "key_refused")

    def _log_out(self, message: Logout) -> None:
        self._hub.stored.finish(self._client)
        self._key = self._client.broker_id = self._broker = None
        self._orders.cancels_at_end = False
        self._orders.forget()
        self._hub.unsubscribe(self._client, OWN_EVENTS)
        if not self._public:
            self._drop_all()
        self._replies.send(_op(message), FeedReply(message.id, 200))

    def _order(self, carry_out: Callable[[Any, Broker, Reply], None], message: Any) -> None:
        reply = partial(self._replies.pass_on, _op(message), message.id)
        carry_out(message, self._logged_in(), reply)

    def _batch(self, message: FeedBatch) -> None:
        broker = self._logged_in()
        send = partial(self._replies.send, _op(message))

        def reply(results: list[BatchResult]) -> None:
            send(FeedReply(message.id, 200, results=results))
            self._client.write_out()

        self._orders.batch(message, broker, reply)

    def _list(self, message: ListSubscriptions) -> None:
        self._replies.send(
            _op(message), FeedReply(message.id, 200, subscriptions=listed(self._client.subjects))
        )

    def _ping(self, message: Ping) -> None:
        self._replies.send(_op(message), FeedReply(message.id, 200))

    def _log_in(self, message: Login) -> None:
        broker = self.log_in(message.key)
        self._orders.cancels_at_end = message.cancel_on_disconnect
        self.silence_s_max = message.heartbeat_s
        reply = FeedReply(
            message.id,
            200,
            broker_id=broker.broker_id,
            broker_name=broker.name,
            session=self._orders.name,
        )
        self._replies.send(_op(message), reply)

    def log_in(self, key: str) -> Broker:
        """Act for the broker of this key. Raises ProblemError."""
        caller = self._accounts.caller(key)
        if caller is None:
            self._failed_logins += 1
            raise self._accounts.failed_login(self._client.address)
        if not isinstance(caller, Broker):
            raise ProblemError("forbidden", "this call needs a broker's key, not the admin key")
        streams = sum(each.broker_id == caller.broker_id for each in self._hub.clients())
        if streams >= STREAMS_PER_BROKER and self._client.broker_id != caller.broker_id:
            detail = f"at most {STREAMS_PER_BROKER} connections of one broker"
            raise ProblemError("rate_limited", detail)
        self.active = True
        self._key, self._client.broker_id = key, caller.broker_id
        if self._broker is not None and self._broker.broker_id != caller.broker_id:
            self._orders.forget()
            self._hub.unsubscribe(self._client, OWN_EVENTS)
        self._broker = caller
        return caller

    def _subscribe(self, message: Subscribe) -> None:
        client, hub = self._client, self._hub
        if message.channel == "orders":
            self._subscribe_own(message)
            return
        subjects, after = self._accepted(message)
        missing = hub.trades.missing(subjects, after) if message.channel == "trades" else {}
        self.active = True
        if missing and hub.stored.history is not None:
            hub.stored.read(client, missing, partial(self._resume, message))
        else:
            self._begin(message, subjects, after, Stored())

    def _accepted(self, message: Subscribe) -> tuple[list[Subject], dict[str, int]]:
        """The subjects of a subscription to market data, and the last trade that the client has, by
        symbol. Raises ProblemError."""
        client = self._client
        self._require_access()
        subjects = subjects_of(message)
        wanted = sum(subject not in client.subjects for subject in subjects)
        limit = SUBSCRIPTIONS_MAX if self._key is None else SUBSCRIPTIONS_KEYED_MAX
        if len(client.subjects) + wanted > limit:
            raise ProblemError("invalid", f"at most {limit} subscriptions on this connection")
        require_room(self._hub, client, subjects, has_key=self._key is not None)
        deep = [each.symbol for each in subjects if self._too_deep(each)]
        if deep:
            raise ProblemError("book_too_deep", f"subscribe to the ladder of {', '.join(deep)}")
        return subjects, self._hub.trades.places(message, raw=any(each.raw for each in subjects))

    def _resume(self, message: Subscribe, stored: Stored) -> None:
        try:
            # Again: other subscriptions, or a logout, may have come meanwhile.
            subjects, after = self._accepted(message)
        except ProblemError as problem:
            self._replies.problem(_op(message), message.id, problem)
        else:
            self._begin(message, subjects, after, stored)
        self._client.write_out()

    def _begin(
        self, message: Subscribe, subjects: list[Subject], after: dict[str, int], stored: Stored
    ) -> None:
        self._confirm(message)
        for subject in subjects:
            self._hub.subscribe(self._client, subject)
        if message.channel == "trades":
            self._hub.trades.replay(self._client, subjects, after, message.last, stored)

    def _subscribe_own(self, message: Subscribe) -> None:
        subjects = subjects_of(message)
        broker, client = self._logged_in(), self._client
        if len(client.subjects.keys() | set(subjects)) > SUBSCRIPTIONS_KEYED_MAX:
            raise ProblemError("invalid", "too many subscriptions on this connection")
        after = None
        if message.after is not None:
            after = converted(message.after, dict[int, int])
            if not self._hub.own.resumes(broker.broker_id, after):
                after = None
            result = "incomplete" if after is None else "complete"
            STREAM_RESUMES.labels("orders", result).inc()
        self._confirm(message, resumed=after is not None)
        self._hub.subscribe_own(client, broker.broker_id, after)

    def _unsubscribe(self, message: Unsubscribe) -> None:
        if message.channel == "trades":
            self._hub.stored.finish(self._client)
        for subject in subjects_of(message):
            self._hub.unsubscribe(self._client, subject)
        self._confirm(message)

    def _confirm(
        self, message: Subscribe | Unsubscribe, *, resumed: bool | UnsetType = UNSET
    ) -> None:
        symbols = message.symbols or UNSET
        self._replies.send(
            _op(message),
            FeedReply(message.id, 200, channel=message.channel, symbols=symbols, resumed=resumed),
        )

    def _resync(self, message: Resync) -> None:
        subjects = [Subject("book", symbol) for symbol in message.symbols]
        missing = [each.symbol for each in subjects if each not in self._client.subjects]
        if missing:
            raise ProblemError("invalid", f"no subscription to the book of {missing[0]}")
        self._replies.send(_op(message), FeedReply(message.id, 200))
        for subject in subjects:
            self._hub.request(self._client, subject, "resync")

    def _require_access(self) -> None:
        if not self._public and self._key is None:
            raise ProblemError("unauthenticated", "log in first, with a broker's key")

    def _too_deep(self, subject: Subject) -> bool:
        return subject.channel == "book" and self._hub.book_too_deep(subject.symbol)

    def _drop_all(self) -> None:
        for subject in list(self._client.subjects):
            self._hub.unsubscribe(self._client, subject)

    def _logged_in(self) -> Broker:
        if self._broker is None:
            raise ProblemError("unauthenticated", "log in first, with a broker's key")
        return self._broker


def _op(message: ClientMessage) -> str:
    return str(message.__struct_config__.tag)
