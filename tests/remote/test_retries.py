"""When a call is sent again, and when never: decided without a network."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from cosmos_robot.errors import InvalidInputError, ServiceError
from cosmos_robot.remote.exchange import Broken, Call, Interrupted, Pause, Reply, ask
from cosmos_robot.remote.retries import Retries, retry_after, retrying

GET = Call("GET", "http://x", repeatable=True)
POST = Call("POST", "http://x", repeatable=False)
RETRIES = Retries(count=3, first_wait=1.0, longest_wait=3.0)


def reply(status, **headers):
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


@pytest.mark.parametrize(
    ("call", "outcome", "again"),
    [
        (GET, reply(200), False),
        (GET, reply(404), False),
        (GET, reply(422), False),
        (GET, reply(500), True),
        (GET, reply(502), True),
        (GET, reply(503), True),
        (GET, reply(504), True),
        (GET, reply(507), False),
        (GET, reply(429), True),
        (GET, Broken("broke", arrived=True), True),
        (GET, Broken("never was", arrived=False), True),
        (POST, reply(200), False),
        (POST, reply(500), False),
        (POST, reply(502), False),
        (POST, reply(503), False),
        (POST, reply(503, retry_after="1"), True),
        (POST, reply(429), True),
        (POST, Broken("broke", arrived=True), False),
        (POST, Broken("never was", arrived=False), True),
    ],
)
def test_only_what_is_safe_and_may_help_is_sent_again(call, outcome, again):
    assert (RETRIES.wait(0, call, outcome, draw=0.5) is not None) == again
    assert RETRIES.wait(3, call, outcome, draw=0.5) is None


def test_waits_grow_and_scatter_up_to_the_longest():
    assert [RETRIES.wait(k, GET, reply(500), draw=1.0) for k in range(3)] == [1.0, 2.0, 3.0]
    assert [RETRIES.wait(k, GET, reply(500), draw=0.0) for k in range(3)] == [0.5, 1.0, 1.5]


def test_a_wait_that_the_service_names_is_kept():
    assert 7.0 <= RETRIES.wait(0, POST, reply(429, retry_after="7"), draw=0.9) <= 8.0
    assert RETRIES.wait(0, POST, reply(429, retry_after="0"), draw=0.0) == 0.0


@pytest.mark.parametrize(("text", "seconds"), [("12", 12.0), ("", None), ("soon", None), ("-3", None), ("1e3", None)])
def test_reading_retry_after(text, seconds):
    assert retry_after(reply(429, retry_after=text)) == seconds


def test_retry_after_may_be_a_date():
    then = datetime.now(UTC) + timedelta(seconds=30)
    assert 28 <= retry_after(reply(429, retry_after=format_datetime(then, usegmt=True))) <= 30
    assert retry_after(reply(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT")) == 0.0
    assert retry_after(reply(429, retry_after="Wed, 99 Oct 99999999999999 07:28:00 GMT")) is None


@pytest.mark.parametrize("wrong", [{"count": -1}, {"first_wait": -1.0}, {"first_wait": 2.0, "longest_wait": 1.0}])
def test_retries_that_cannot_be(wrong):
    with pytest.raises(InvalidInputError):
        Retries(**wrong)


def drive(call, *outcomes):
    """Carry out an exchange of one call, of which this comes; gives the steps, and the result."""

    def exchange():
        found = yield from ask(call)
        return found.status

    steps, sending, left = [], retrying(exchange(), RETRIES, service="it", draw=lambda: 1.0), list(outcomes)
    step = next(sending)
    try:
        while True:
            steps.append(step)
            step = sending.send(left.pop(0) if isinstance(step, Call) else None)
    except StopIteration as ended:
        return steps, ended.value


def test_a_call_is_repeated_until_it_succeeds():
    steps, result = drive(GET, reply(503), Broken("broke", arrived=True), reply(200))
    assert steps == [GET, Pause(1.0), GET, Pause(2.0), GET]
    assert result == 200


def test_the_last_reply_stands_whatever_it_is():
    assert drive(GET, *[reply(503)] * 4)[1] == 503
    assert drive(POST, reply(500)) == ([POST], 500)


def test_a_broken_call_that_may_have_arrived_says_so():
    with pytest.raises(ServiceError, match=r"it broke\. It was not sent again: it may have arrived"):
        drive(POST, Broken("broke", arrived=True))
    with pytest.raises(ServiceError, match=r"it never was\.$"):
        drive(GET, *[Broken("never was", arrived=False)] * 4)


def test_what_is_not_worth_a_second_attempt():
    once = Call("DELETE", "http://x", repeatable=True, once=True)
    assert RETRIES.wait(0, once, reply(503), draw=0.5) is None


def test_an_exchange_may_go_on_where_a_call_broke():
    def exchange():
        with suppress(ServiceError):
            yield from ask(POST)
        found = yield from ask(GET)
        return found.status

    sending = retrying(exchange(), RETRIES, service="it", draw=lambda: 1.0)
    assert next(sending) == POST
    assert sending.send(Broken("broke", arrived=True)) == GET
    with pytest.raises(StopIteration) as ended:
        sending.send(reply(200))
    assert ended.value.value == 200


@pytest.mark.parametrize("where", [0, 1])
def test_who_gives_up_is_given_the_last_call(where):
    cancel = Call("DELETE", "http://x", repeatable=True)

    def exchange():
        try:
            yield from ask(GET)
            yield Pause(1.0)
        except Interrupted:
            yield cancel
            raise

    sending = retrying(exchange(), RETRIES, service="it", draw=lambda: 1.0)
    next(sending)
    if where:
        sending.send(reply(200))
    assert sending.throw(Interrupted()) == cancel
    with pytest.raises(Interrupted):
        sending.send(reply(200))
