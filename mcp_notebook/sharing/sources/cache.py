"""The last answers of a question whose answer depends on nothing but what was asked."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Up to `most` answers, the least lately used goes first. It may be asked from any thread."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, Value] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, question: Hashable) -> Value | None:
        """The answer, None when it is not known (any more)."""
        with self._turn:
            if question in self._known:
                self._known.move_to_end(question)
            return self._known.get(question)

    def put(self, question: Hashable, value: Value) -> None:
        """Keep an answer."""
        with self._turn:
            self._known[question] = value
            self._known.move_to_end(question)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
