from edge_hoi.media import PeopleColours
from edge_hoi.media.canvas import PALETTE


def test_people_at_the_same_time_have_different_colours_whatever_their_ids() -> None:
    colours = PeopleColours().update([1, 8, 15, 22, 29, 36, 43])
    assert set(colours.values()) == set(PALETTE)


def test_a_colour_stays_as_long_as_its_person_and_comes_back_last() -> None:
    colours = PeopleColours()
    first = colours.update([1, 2])
    assert colours.update([2, 9])[2] == first[2]
    seen = [colours.update([2, number])[number] for number in range(10, 14)]
    assert first[1] not in seen
    assert first[2] not in seen
    assert len(set(seen)) == 4


def test_more_people_than_colours_share_them_evenly() -> None:
    given = list(PeopleColours().update(range(20)).values())
    assert {given.count(colour) for colour in PALETTE} == {2, 3}


def test_somebody_who_comes_back_has_a_colour_again() -> None:
    colours = PeopleColours()
    colours.update([1])
    assert colours.update([]) == {}
    assert set(colours.update([1])) == {1}
