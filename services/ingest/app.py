"""Ingest's half of the API: register brokers, rotate webhook secrets, place and cancel orders."""

from contextlib import suppress

from msgspec import UNSET

from schemas.broker_records import FORMER_SECRET_MS
from schemas.brokers import IssuedSecret, webhook_secret
from schemas.codec import encode
from schemas.queries import ValidOrder
from schemas.rest import (
    OrderRequest,
    OrderResource,
    PendingOrder,
    RegisterRequest,
    Registration,
)
from schemas.topics import BROKERS
from schemas.units import rfc3339
from schemas.webhooks import RotatedSecret
from services.api.app import (
    ProblemError,
    Response,
    Route,
    json_response,
    not_accepted,
)
from services.api.body import require_no_fields
from services.api.brokers import BrokerDirectory
from services.api.direct import awaited
from services.api.framework import Body, Caller, ServiceRouter
from services.ingest.admission import admit, admit_registration
from services.ingest.app_batch import BatchHandler
from services.ingest.app_cancel import CancelOrderHandler
from services.ingest.app_cancel_all import CancelAllHandler
from services.ingest.app_market import MarketHandler
from services.ingest.app_place import PlaceOrderHandler, command_of
from services.ingest.app_replace import ReplaceOrderHandler
from services.ingest.context import IngestContext
from services.ingest.order_ids import RandomIds
from services.ingest.refusals import REFUSALS, warnings_of
from services.ingest.registration import (
    RANDOM_BYTES,
    SECRET_BYTES,
    new_broker,
)
from services.ingest.route_parts import PREFER_CANCEL, PREFER_OUTCOME, WRITING_PROBLEMS
from services.runtime.kafka.execution_filter import Batch

# Reading our own record back takes milliseconds. Beyond this the answer is sent without waiting:
# the record is stored, and the key or secret would otherwise be lost.
_APPLIED_WITHIN_S = 2.0
_NO_STORE = (("Cache-Control", "no-store"),)


class Ingest:
    """Ingest's calls; `on_batch` receives the outcomes that they wait for."""

    def __init__(self, context: IngestContext, directory: BrokerDirectory) -> None:
        self.context = context
        self._directory = directory
        self.placing = PlaceOrderHandler(context, RandomIds(context.randomness))
        self.cancelling = CancelOrderHandler(context)
        self.cancelling_all = CancelAllHandler(context)
        self.replacing = ReplaceOrderHandler(context)
        self._market = MarketHandler(context)
        self._batching = BatchHandler(context, self.placing, self.cancelling, self.replacing)

    def on_batch(self, batch: Batch) -> None:
        """Answer the requests that wait for an outcome in the batch."""
        self.context.waiters.resolve(batch)

    async def validate(self, body: Body) -> Response:
        """`POST /orders/validate`."""
        return self.valid(body)

    def valid(self, body: bytes) -> Response:
        """The answer for an order that is not placed. Raises ProblemError."""
        order = admit(body, self.context.clock())
        partition_map = self.context.partition_map
        market = self.context.views.market_at_hand(order.symbol)
        valid = ValidOrder(
            symbol=order.symbol,
            partition=partition_map.partition(order.symbol),
            listed=partition_map.is_listed(order.symbol),
            phase=None if market is None else market.phase,
            warnings=() if market is None else warnings_of(command_of(order, "", ""), market),
        )
        return json_response(200, valid)

    async def register(self, body: Body) -> Response:
        """`POST /register`."""
        context = self.context
        wanted = admit_registration(body)
        broker, api_key = new_broker(
            wanted, context.randomness(RANDOM_BYTES), now_ms=context.clock()
        )
        await self._store(
            broker.broker_id,
            encode(broker),
            "the broker may be registered, but its key is lost: register it again",
        )
        await self._directory.wait_until(
            lambda: self._directory.get(broker.broker_id) is not None, _APPLIED_WITHIN_S
        )
        shown_once = Registration(
            broker_id=broker.broker_id,
            api_key=api_key,
            webhook_secret=broker.webhook_secrets[0].secret if broker.webhook_secrets else UNSET,
        )
        return json_response(201, shown_once, _NO_STORE)

    async def rotate_secret(self, broker: Caller, body: Body) -> Response:
        """`POST /webhooks/secret/rotate`."""
        require_no_fields(body)
        context = self.context
        if broker.webhook_url is None:
            raise ProblemError("not_found", "this broker was registered without a webhook_url")
        issued = IssuedSecret(
            broker.broker_id,
            webhook_secret(context.randomness(SECRET_BYTES)),
            context.clock(),
        )
        await self._store(
            issued.key,
            encode(issued),
            "the secret may have been replaced by one that is lost: rotate it again",
        )
        await self._directory.wait_until(lambda: self._counts(issued), _APPLIED_WITHIN_S)
        self._delete_ended(broker.broker_id)
        until = rfc3339(issued.created_at + FORMER_SECRET_MS) if broker.webhook_secrets else None
        return json_response(200, RotatedSecret(issued.secret, until), _NO_STORE)

    def _counts(self, issued: IssuedSecret) -> bool:
        broker = self._directory.get(issued.broker_id)
        return broker is not None and issued.secret in {
            known.secret for known in broker.webhook_secrets
        }

    def _delete_ended(self, broker_id: str) -> None:
        # Otherwise the topic would keep every secret forever. A deletion that fails is repeated
        # with the next rotation.
        topic = BROKERS.full_name(self.context.topic_prefix)
        for key in self._directory.ended_secrets(broker_id):
            with suppress(ProblemError):
                self.context.publisher.send(topic, 0, key.encode(), None)

    async def _store(self, key: str, value: bytes, unknown: str) -> None:
        # Returns once Kafka has stored the record. The directory applies it when it is read back,
        # after all records before it: a record of ours never replaces a later one in memory.
        context = self.context
        topic = BROKERS.full_name(context.topic_prefix)
        delivery = context.publisher.send(topic, 0, key.encode(), value)
        result = await delivery.wait(context.publisher.delivery_timeout_s)
        if result == "not_stored":
            raise not_accepted("Kafka refused the record; nothing was written")
        if result != "stored":
            raise ProblemError("outcome_unknown", unknown)

    def routers(self) -> list[ServiceRouter]:
        """All other calls, served by FastAPI."""
        return [self.router(), self.cancelling_all.router(), self._market.router()]

    def routes(self) -> list[Route]:
        """The hot calls, served by the edge."""
        return [
            Route(
                method="POST",
                path="/orders",
                handler=awaited(self.placing.place),
                direct=self.placing.place,
                who="broker",
                summary="Place an order; the answer is its state after matching",
                request=OrderRequest,
                answers={200: OrderResource, 201: OrderResource, 202: PendingOrder},
                problems=("client_order_id_reused", *REFUSALS, *WRITING_PROBLEMS),
                parameters=(PREFER_OUTCOME,),
            ),
            Route(
                method="POST",
                path="/orders/{order_id}/cancel",
                handler=awaited(self.cancelling.cancel),
                direct=self.cancelling.cancel,
                who="broker",
                summary="Cancel the remaining quantity of one of your orders",
                answers={200: OrderResource, 202: PendingOrder, 204: None},
                problems=("order_not_found", "too_late_to_cancel", *WRITING_PROBLEMS),
                parameters=(PREFER_CANCEL,),
                budget="cancels",
            ),
            self.replacing.route(),
            self._batching.route(),
        ]

    def router(self) -> ServiceRouter:
        """Ingest's own calls of these, without those of operators for a symbol."""
        return ServiceRouter(
            [
                Route(
                    method="POST",
                    path="/register",
                    handler=self.register,
                    who="admin",
                    summary="Register a broker; its key is shown only once",
                    request=RegisterRequest,
                    answers={201: Registration},
                    problems=WRITING_PROBLEMS,
                ),
                Route(
                    method="POST",
                    path="/orders/validate",
                    handler=self.validate,
                    who="broker",
                    summary="Check an order as POST /orders does; nothing is written",
                    request=OrderRequest,
                    answers={200: ValidOrder},
                    problems=("malformed_json", "invalid", "not_accepted"),
                    budget="reads",
                    strict_query=True,
                ),
                Route(
                    method="POST",
                    path="/webhooks/secret/rotate",
                    handler=self.rotate_secret,
                    who="broker",
                    summary="Rotate the webhook secret, which is shown only once",
                    answers={200: RotatedSecret},
                    problems=("not_found", *WRITING_PROBLEMS),
                    budget="secrets",
                ),
            ]
        )
