import pytest

from edge_hoi.media.strip import _format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (4.23, "4.2 s"), (59.99, "0:59"), (60.0, "1:00"), (185.7, "3:05"), (3599.9, "59:59"), (3723.0, "1:02:03")],
)
def test_durations_are_formatted_by_their_length(seconds: float, text: str) -> None:
    assert _format_duration(seconds) == text
