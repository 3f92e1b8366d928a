"""Interrupts at random moments: `tests.kernel.interrupts` makes as many as are asked for."""

import pytest

from tests.kernel.interrupts import hits


@pytest.mark.slow
def test_after_an_interrupt_at_any_moment_the_cell_ends_and_the_next_call_is_right():
    found = hits(5)
    assert all(hit.ended and hit.right for hit in found), found
    assert max(hit.seconds for hit in found) < 30, (
        "a hang guard; the command holds the 2 s"
    )
