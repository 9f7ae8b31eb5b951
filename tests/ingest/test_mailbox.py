import threading
import time

import pytest

from edge_hoi.ingest import Mailbox


def test_newest_keeps_the_newest_and_counts_what_it_skips():
    mailbox = Mailbox("newest", 2)
    assert all(mailbox.put(number) for number in range(5))
    assert mailbox.dropped == 3
    assert [mailbox.get(0), mailbox.get(0), mailbox.get(0)] == [3, 4, None]


def test_lossless_makes_the_giver_wait_and_skips_nothing():
    mailbox = Mailbox("lossless", 2)
    giver = threading.Thread(target=lambda: [mailbox.put(number) for number in range(100)] and mailbox.close())
    giver.start()
    taken = []
    while not mailbox.is_finished:
        item = mailbox.get(5)
        if item is not None:
            assert len(mailbox) <= 2
            taken.append(item)
    giver.join()
    assert taken == list(range(100))
    assert mailbox.dropped == 0


def test_waits_are_over_in_time():
    mailbox = Mailbox("lossless", 1)
    started = time.monotonic()
    assert mailbox.get(0.05) is None
    assert mailbox.put("a")
    assert not mailbox.put("b", 0.05)
    assert 0.1 <= time.monotonic() - started < 2.0
    assert mailbox.get() == "a"


@pytest.mark.parametrize("policy", ["newest", "lossless"])
def test_what_is_held_can_be_taken_after_closing_and_nothing_more_comes_in(policy):
    mailbox = Mailbox(policy, 2)
    mailbox.put("a")
    mailbox.close()
    assert not mailbox.put("b")
    assert not mailbox.is_finished
    assert mailbox.get() == "a"
    assert mailbox.get() is None
    assert mailbox.is_finished


def test_closing_wakes_the_giver_and_the_taker():
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
        thread.join(2)
    assert answers == {"put": False, "get": None}
    assert full.is_finished


def test_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Mailbox("newest", 0)
