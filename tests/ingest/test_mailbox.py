import threading
import time

import pytest
from busy_machine import within

from edge_hoi.ingest import Mailbox


def test_newest_keeps_the_newest_items_and_counts_drops():
    mailbox = Mailbox("newest", 2)
    assert all(mailbox.put(number) for number in range(5))
    assert mailbox.dropped == 3
    assert [mailbox.get(0), mailbox.get(0), mailbox.get(0)] == [3, 4, None]


def test_lossless_makes_the_producer_wait_and_drops_nothing():
    mailbox = Mailbox("lossless", 2)
    producer = threading.Thread(target=lambda: [mailbox.put(number) for number in range(100)] and mailbox.close())
    producer.start()
    items = []
    while not mailbox.is_finished:
        item = mailbox.get(5)
        if item is not None:
            assert len(mailbox) <= 2
            items.append(item)
    producer.join()
    assert items == list(range(100))
    assert mailbox.dropped == 0


def test_waits_time_out():
    mailbox = Mailbox("lossless", 1)
    started = time.monotonic()
    assert mailbox.get(0.05) is None
    assert mailbox.put("a")
    assert not mailbox.put("b", 0.05)
    assert 0.1 <= time.monotonic() - started < within(2.0)
    assert mailbox.get() == "a"


@pytest.mark.parametrize("policy", ["newest", "lossless"])
def test_a_closed_mailbox_returns_its_items_and_accepts_no_more(policy):
    mailbox = Mailbox(policy, 2)
    mailbox.put("a")
    mailbox.close()
    assert not mailbox.put("b")
    assert not mailbox.is_finished
    assert mailbox.get() == "a"
    assert mailbox.get() is None
    assert mailbox.is_finished


def test_closing_wakes_producer_and_consumer():
    full, empty = Mailbox("lossless", 1), Mailbox("lossless", 1)
    full.put("a")
    answers = {}
    threads = [
        threading.Thread(target=lambda: answers.update(put=full.put("b"))),
        threading.Thread(target=lambda: answers.update(get=empty.get())),
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    full.close(discard=True)
    empty.close()
    for thread in threads:
        thread.join(30)
    assert answers == {"put": False, "get": None}
    assert full.is_finished


def test_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Mailbox("newest", 0)


def test_only_an_item_that_is_wanted_is_taken():
    mailbox = Mailbox("lossless", 2)
    assert mailbox.take(lambda item: True) is None
    mailbox.put(1)
    mailbox.put(2)
    assert mailbox.take(lambda item: item == 2) is None
    assert mailbox.take(lambda item: item == 1) == 1
    assert len(mailbox) == 1
