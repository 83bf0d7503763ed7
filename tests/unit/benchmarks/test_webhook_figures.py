"""Webhooks received compared with webhooks expected, on a small history with one fault."""

from msgspec import structs

from benchmarks.webhooks.figures import Killed, ReceivedWebhooks, Side, figures
from benchmarks.webhooks.result import SCHEMA_VERSION, Generator, WebhookResult
from loadgen.report.machine import Machine
from loadgen.workload.profiles import B3

MS = 1_000
BROKERS = ("b0", "b1")
SIDES = [
    Side("b0", "t1-bid", 10 * MS, 12 * MS),
    Side("b1", "t1-ask", 10 * MS, 12 * MS),
    Side("b0", "t2-ask", 50 * MS, 51 * MS),
]
RECEIVED = ReceivedWebhooks(
    [0, 1, 0, 0], ["t1-bid", "t1-ask", "t2-ask", "t1-bid"], [15_000, 16_000, 80_000, 90_000], 0, 0.1
)
KILLED = [Killed(60 * MS, 70 * MS)]
GOOD = WebhookResult(
    schema_version=SCHEMA_VERSION,
    scale=100,
    seed=1,
    kill_every_s=5,
    profile=B3,
    machine=Machine("cpu", 2, 1, "system", "3"),
    commit="",
    started_at="2020-01-01T00:00:00.000Z",
    why="",
    interrupted=False,
    generator=Generator(100, 0, 1_000, late=False),
    drained=True,
    figures=figures(SIDES, RECEIVED, BROKERS, KILLED, 0),
    cpu_us={"sender": 400},
    audit="holds",
)


def received(*arrived: tuple[int, str], wrong: int = 0) -> ReceivedWebhooks:
    brokers, ids = zip(*arrived, strict=True)
    return ReceivedWebhooks(list(brokers), list(ids), [100 * MS] * len(arrived), wrong, 0.1)


def test_first_arrival_of_each_side_is_counted_and_later_ones_are_repeats() -> None:
    found = figures(SIDES, RECEIVED, BROKERS, KILLED, 0)
    assert (found.expected, found.delivered, found.lost) == (3, 3, 0)
    assert (found.repeated, found.foreign) == (1, 0)
    assert found.trade_to_webhook_us is not None
    assert found.trade_to_webhook_us.p50 == 6 * MS
    assert found.trade_to_webhook_us.max == 30 * MS
    assert found.trade_to_outbox_us is not None
    assert found.trade_to_outbox_us.max == 2 * MS
    assert found.outbox_to_webhook_us is not None
    assert found.outbox_to_webhook_us.max == 29 * MS


def test_side_traded_before_the_window_is_expected_but_not_timed() -> None:
    found = figures(SIDES, RECEIVED, BROKERS, [], 20 * MS)
    assert found.delivered == 3
    assert found.trade_to_webhook_us is not None
    assert found.trade_to_webhook_us.count == 1


def test_sides_that_never_arrived_are_lost() -> None:
    found = figures(SIDES, received((0, "t1-bid")), BROKERS, [], 0)
    assert (found.delivered, found.lost) == (1, 2)


def test_webhook_of_no_trade_or_for_another_broker_is_foreign() -> None:
    arrived = received((0, "t9-bid"), (1, "t1-bid"), (0, "t1-ask"), (7, "t1-bid"), (-1, ""))
    found = figures(SIDES, arrived, BROKERS, [], 0)
    assert (found.delivered, found.lost, found.foreign, found.repeated) == (0, 3, 5, 0)


def test_outage_ends_with_the_next_sender_not_with_requests_of_the_killed_one() -> None:
    arrived = ReceivedWebhooks([0] * 3, ["t1-bid"] * 3, [61 * MS, 69 * MS, 75 * MS], 0, 0.1)
    found = figures(SIDES, arrived, BROKERS, [*KILLED, Killed(90 * MS, 95 * MS)], 0)
    assert found.kills == 2
    assert found.away_us is not None
    assert (found.away_us.count, found.away_us.max) == (1, 15 * MS)


def test_result_of_a_good_run_contains_its_figures() -> None:
    assert GOOD.exit_code == 0
    text = "\n".join(GOOD.lines())
    assert "killed 1 times" in text
    assert "lost                 0" in text
    assert "INVALID" not in text


def test_result_with_any_fault_fails() -> None:
    lost = figures(SIDES, received((0, "t1-bid")), BROKERS, [], 0)
    wrong = [
        structs.replace(GOOD, figures=lost),
        structs.replace(GOOD, figures=structs.replace(GOOD.figures, foreign=1)),
        structs.replace(GOOD, figures=structs.replace(GOOD.figures, wrong_signatures=1)),
        # A market without trades proves nothing.
        structs.replace(GOOD, figures=figures([], RECEIVED, BROKERS, [], 0)),
        structs.replace(GOOD, drained=False),
        structs.replace(GOOD, why="a sending process died"),
        structs.replace(GOOD, audit="fails"),
        structs.replace(GOOD, generator=Generator(100, 1, 0, late=False)),
    ]
    assert [each.exit_code for each in wrong] == [1] * len(wrong)
    interrupted = structs.replace(GOOD, why="interrupted", interrupted=True)
    assert interrupted.exit_code == 130


def test_result_of_a_late_generator_is_invalid_unless_a_webhook_is_lost() -> None:
    late = structs.replace(GOOD, generator=Generator(100, 0, 20_000, late=True))
    assert late.exit_code == 98
    assert "INVALID" in "\n".join(late.lines())
    lost = figures(SIDES, received((0, "t1-bid")), BROKERS, [], 0)
    assert structs.replace(late, figures=lost).exit_code == 1
