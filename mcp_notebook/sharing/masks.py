"""Masked columns: what SQL that a stranger wrote sees in their place.

A masked value becomes a token, `masked:` and 16 hexadecimal digits of a keyed hash. The
table that the SQL sees holds no other form of it, so no expression, predicate or error
message can bring the value back. NULL stays NULL, and equal values of one table have
equal tokens: `count`, `count(DISTINCT ...)`, GROUP BY and joins of a table with itself
work. Between tables the tokens differ on purpose. A model can make tables of its own
choice (a result of another server), and a token that is the same everywhere would tell
it which of its guesses stands in the masked column.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.secrets import KnownValues
from mcp_notebook.sharing.catalog import Entry
from mcp_notebook.values import (
    LIST,
    MAP,
    STRUCT,
    column_values,
    plain_column,
    plain_type,
    value_kind,
)
from mcp_notebook.veil import covers

PREFIX = "masked:"
NOTHING_KNOWN = KnownValues()
_TOKEN = re.compile(rf"{PREFIX}[0-9a-f]{{16}}")
_NUMBERED = re.compile(r"(.+)_\d+")


@dataclass(frozen=True)
class Masks:
    """The patterns of masked columns (`"email"`, `"*_token"`, any case), and the key of the tokens.

    A pattern also hides the field of that name in structs, maps and JSON texts of other
    columns. `known` are values of masked columns that were seen: a text of another
    column that holds one is a token, too.
    """

    patterns: tuple[str, ...] = ()
    key: bytes = field(
        default_factory=lambda: secrets.token_bytes(32), repr=False, compare=False
    )

    known: KnownValues = field(default=NOTHING_KNOWN, repr=False, compare=False)
    # how many are known, so that masks with more of them are other masks
    count: int = 0

    def for_entry(self, entry: Entry | None) -> Masks:
        """The masks of one table: also of its columns that SQL made from masked ones."""
        if entry is None or not entry.masked:
            return self

        return replace(self, patterns=(*self.patterns, *map(glob.escape, entry.masked)))

    def covers(self, name: str) -> bool:
        """Whether a column or field of this name is masked."""
        return covers(self.patterns, name)

    def columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """The masked ones among a table's columns; `email_2` beside `email` may be a
        second column of that name.
        """
        present = {name.casefold() for name in names}
        return tuple(
            name for name in names if self.covers(name) or self._second(name, present)
        )

    def touches(self, schema: pa.Schema, among: Sequence[str] = ()) -> bool:
        """Whether a table of these columns has any that `apply` would change for its name or type.

        Texts that hold JSON cannot be told by their type.
        """
        masked = set(self.columns(among or schema.names))
        if self.count:
            return True

        return not masked.isdisjoint(schema.names) or any(
            self._may_hide(field.type) for field in schema
        )

    def apply(self, table: pa.Table, scope: str, among: Sequence[str] = ()) -> pa.Table:
        """The table with tokens in place of masked values; `scope` is the table's name,
        within which tokens agree.

        `among` are all columns of the table when this is a part of it, since they tell
        what a column's name means.
        """
        if not self.patterns:
            return table

        masked = set(self.columns(among or table.column_names))
        columns = [
            self._tokens(column, f"{scope}.{name}")
            if name in masked
            else self._inside(column, scope)
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
        return pa.table(columns, names=table.column_names)

    def inside(self, table: pa.Table, scope: str) -> pa.Table:
        """The table with its masked columns as they are, and tokens in the masked
        fields inside other columns.
        """
        masked = set(self.columns(table.column_names))
        pairs = zip(table.column_names, table.columns, strict=True)
        columns = [
            column if name in masked else self._inside(column, scope)
            for name, column in pairs
        ]
        return pa.table(columns, names=table.column_names)

    def hide_text(self, text: str) -> str:
        """Words of a person without the masked values that were seen."""
        if not self.patterns:
            return text

        return self.known.hide(text)

    def _second(self, name: str, present: Iterable[str]) -> bool:
        numbered = _NUMBERED.fullmatch(name)
        if numbered is None or numbered[1].casefold() not in present:
            return False

        return self.covers(numbered[1])

    def _token(self, value: Any, scope: str) -> str | None:
        if value is None or (isinstance(value, str) and _TOKEN.fullmatch(value)):
            return value  # a table that was made of masked ones keeps their tokens

        if isinstance(value, bytes):
            data = value
        else:
            # lone surrogates stand in texts that were no valid UTF-8
            data = str(value).encode("utf-8", "surrogatepass")

        keyed = hashlib.blake2b(
            scope.encode() + b"\0" + data, key=self.key, digest_size=8
        )
        return PREFIX + keyed.hexdigest()

    def _tokens(
        self, column: pa.ChunkedArray, scope: str
    ) -> pa.Array | pa.ChunkedArray:
        column = plain_column(column)
        try:
            encoded = column.dictionary_encode().combine_chunks()
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # nested kinds
            tokens = [self._token(value, scope) for value in column_values(column)]
            return pa.array(tokens, pa.string())

        if isinstance(encoded, pa.ChunkedArray):
            # an empty column has no chunk to combine
            if not encoded.num_chunks:
                return pa.array([None] * len(column), pa.string())

            return encoded.chunk(0)

        tokens = pa.array(
            [self._token(value, scope) for value in column_values(encoded.dictionary)],
            pa.string(),
        )
        return tokens.take(encoded.indices)

    def _inside(
        self, column: pa.ChunkedArray, scope: str
    ) -> pa.ChunkedArray | pa.Array:
        """A column that is not masked, with the masked fields inside its values hidden."""
        kind = value_kind(column.type)
        if kind.nested:
            return self._mask_nested(column, scope)

        if kind.text:
            return self._known_texts(self._json_texts(column, scope), scope)

        return column

    def _mask_nested(
        self, column: pa.ChunkedArray, scope: str
    ) -> pa.ChunkedArray | pa.Array:
        if not self._may_hide(column.type):
            return column

        wanted = self._hidden_type(column.type)
        values = column_values(column, map_as_dict=True)
        hidden = [self._hide_value(value, scope) for value in values]
        if hidden == values:
            return column

        # one key of a map may be masked and the next not: no type holds both
        if not _has_maps(column.type):
            try:
                return pa.array(hidden, wanted)
            except pa.ArrowException:  # two fields of one name, a year beyond 9999
                pass

        texts = [None if v is None else json.dumps(v, default=str) for v in hidden]
        return pa.array(texts, pa.string())

    def _may_hide(self, kind: pa.DataType) -> bool:
        if not value_kind(kind).nested:
            return False

        kind = plain_type(kind)
        inner = [kind.field(i) for i in range(kind.num_fields)]
        named = value_kind(kind) is STRUCT and any(self.covers(f.name) for f in inner)
        # the keys of a map are data: any may be a masked name
        if named or value_kind(kind) is MAP:
            return True

        return any(self._may_hide(f.type) for f in inner)

    def _hidden_type(self, kind: pa.DataType) -> pa.DataType:
        kind = plain_type(kind)
        if value_kind(kind) is STRUCT:
            return pa.struct([(f.name, self._hidden_field_type(f)) for f in kind])

        if value_kind(kind) is LIST:
            return pa.list_(self._hidden_type(kind.value_type))

        return kind

    def _hidden_field_type(self, field: pa.Field) -> pa.DataType:
        if self.covers(field.name):
            return pa.string()

        return self._hidden_type(field.type)

    def _hide_value(self, value: Any, scope: str) -> Any:
        if isinstance(value, dict):
            return {
                name: self._token(_plain(inner), f"{scope}.{name}")
                if self.covers(str(name))
                else self._hide_value(inner, scope)
                for name, inner in value.items()
            }

        if isinstance(value, list):
            return [self._hide_value(inner, scope) for inner in value]

        return value

    def _json_texts(
        self, column: pa.ChunkedArray, scope: str
    ) -> pa.ChunkedArray | pa.Array:
        text = plain_column(column)
        if not pc.any(pc.match_substring_regex(text, r"^\s*[\[{]")).as_py():
            return column

        before = text.to_pylist()
        after = [self._json_text(value, scope) for value in before]
        if after == before:
            return column

        return pa.array(after, pa.string())

    def _known_texts(
        self, column: pa.ChunkedArray | pa.Array, scope: str
    ) -> pa.ChunkedArray | pa.Array:
        """A text that holds a value of a masked column is a token whole."""
        if not self.count:
            return column

        if isinstance(column, pa.Array):
            column = pa.chunked_array([column])

        texts = pc.unique(plain_column(column)).to_pylist()
        different = [text for text in texts if text]
        whole = "\x1f".join(different)
        if self.known.hide(whole) == whole:
            return column

        hidden = {text for text in different if self.known.hide(text) != text}
        tokens = [
            self._token(text, scope) if text in hidden else text
            for text in column.to_pylist()
        ]
        return pa.array(tokens, pa.string())

    def _json_text(self, text: str | None, scope: str) -> str | None:
        if text is None or text.lstrip()[:1] not in ("{", "["):
            return text

        try:
            value = json.loads(text)
            hidden = self._hide_value(value, scope)
        except (ValueError, RecursionError):
            return text

        if hidden == value:
            return text

        return json.dumps(hidden, ensure_ascii=False)


def holds_tokens(table: pa.Table) -> tuple[str, ...]:
    """The columns of an answer in which tokens stand in place of values."""
    texts = [
        name
        for name in table.column_names
        if value_kind(table.schema.field(name).type).text
    ]
    return tuple(
        name
        for name in texts
        if pc.any(pc.match_substring(plain_column(table.column(name)), PREFIX)).as_py()
    )


def note_on(columns: Sequence[str]) -> str:
    """What is said beside an answer that holds tokens; "" without such columns."""
    if not columns:
        return ""

    return (
        f"{', '.join(columns)}: masked, tokens stand in place of the values; equal "
        "values of one table have equal "
        "tokens, so count, count(DISTINCT ...), GROUP BY and joins within that table work"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)

    return value


def _has_maps(kind: pa.DataType) -> bool:
    kind = plain_type(kind)
    if value_kind(kind) is MAP:
        return True

    if not value_kind(kind).nested:
        return False

    return any(_has_maps(kind.field(at).type) for at in range(kind.num_fields))
