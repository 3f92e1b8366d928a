"""Errors that look like data: a failure reported as ordinary text, as an object or as a
table of one row.

Asked before any table is built. A text is an error by how it begins, an object by its keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NOUNS = (
    r"error|errors|exception|failure|fault|fehler|erreur|erro|errore|fout|fel|fejl|"
    r"feil|b[łl][aą]d|hata|"
    r"ошибка|помилка|错误|錯誤|失败|失敗|エラー|오류|خطأ"
)
_NOUN = re.compile(rf"\w*?(?:{_NOUNS})(?![^\W\d_])", re.IGNORECASE)
# How a report goes on behind the noun: with a colon before any bar of a table, or with
# the circumstances.
_COLON = re.compile(r"(?!\s*[,|;])[^|:：]{0,119}[:：]")
_AFTER = re.compile(
    r"\s*(?:$|[-–—(\[=#\d]|"
    r"(?:executing|running|processing|querying|connecting|parsing|reading|fetching|"
    r"calling|loading|opening|while|when|during|occurred|in|at|from|on|near|code|"
    r"number|message|was|has)\b)",
    re.IGNORECASE,
)
# How a report begins that names no error.
_FAILED = re.compile(
    r"(?:[^\w\s]{0,4}\s{0,4})?(?:"
    r"(?:the |sql |your )?"
    r"(?:query|statement|execution|request|call|command|operation|connection)"
    r"(?: \w+){0,3} "
    r"(?:failed|rejected|refused|aborted|denied|timed out|not allowed|forbidden)\b|"
    r"(?:failed|unable|fail) to \w+|"
    r"could(?: not|n['’]t) \w+|can(?:not|['’]t| not) \w+|"
    r"(?:access|permission) denied|security violation|"
    r"traceback \(most recent call last\)|"
    r"invalid (?:query|sql|argument|request|parameter|input|token|credentials|"
    r"identifier)|syntax error|unauthori[sz]ed|"
    r"forbidden|wrongtype\b|noauth\b|rate limit|too many requests|timed? ?out|timeout|"
    r"not (?:found|allowed|permitted|connected|authorized)\b|"
    r"ORA-\d{5}|SQLSTATE|code: \d+\. \w+|msg \d+, level \d+|ERR_|E\d{4,}:|"
    r"(?:no|unknown|missing) such \w+|refused\b)",
    re.IGNORECASE,
)
# What a text of some length says only of a failure.
_INSIDE = re.compile(
    r"\bdo(?:es)?(?: not|n['’]t) exist\b|"
    r"\bno such (?:table|column|file|function|database)\b|"
    r"\bsyntax error\b|\berror in your sql\b|"
    r"\b(?:is|are) not (?:allowed|permitted|supported|authori[sz]ed)\b|"
    r"\bpermission denied\b|\baccess denied\b|"
    r"\bonly [\w ,/()-]{0,60}(?:select|read)[\w ,/()-]{0,60} "
    r"(?:are|is) (?:allowed|supported|permitted|accepted)\b|"
    r"\b(?:sqlstate|ora-\d{5}|psycopg2?\.|pymysql\.|sqlalche\.me)|\bfailed with\b|"
    r"查询失败|執行失敗|执行失败|不存在|"
    r"\b(?:query|execution|connection|request) failed\b|"
    r"\bn['’]existe pas\b|\bexistiert nicht\b|\bno existe\b",
    re.IGNORECASE,
)
# What a text of a sentence or two says only of a failure, as databases put it.
_BRIEFLY = re.compile(
    r"\bunknown (?:column|table|database|function|identifier|user|host)\b|"
    r"\binvalid (?:object|column|table|cursor) name\b|\blost connection\b|"
    r"\bconnection\b[^\n]{0,40}\b(?:lost|closed|refused|reset|terminated|dropped)\b|"
    r"\bcancell?ing statement\b|\bstatement timeout\b|"
    r"\b(?:query|statement)\b[^\n]{0,20}"
    r"\b(?:was|been) (?:interrupted|cancell?ed|killed)\b|"
    r"\bcould(?: not|n['’]t) "
    r"(?:run|execute|connect|open|find|parse|convert|read|complete)\b|"
    r"\bdatabase is locked\b|"
    r"\bdeadlock\b|\bdivision by zero\b|\btoo long for column\b|"
    r"\bout of (?:range|memory)\b|"
    r"\bduplicate (?:entry|key)\b|"
    r"\bread-?only (?:database|transaction|mode|connection)\b|"
    r"\bviolates\b[^\n]{0,40}\bconstraint\b|^\W*rejected\b|"
    r"^\d+ validation errors? for \w|"
    r"\bmust (?:start|begin) with (?:select|with)\b|"
    r"\bnot (?:a )?valid (?:sql|query|select|statement)\b|"
    r"\[(?:microsoft|odbc|mysql|oracle|freetds|unixodbc)[^\]]*\] ?\[|"
    r"\bsql error code\b|\bis not recogni[sz]ed\b",
    re.IGNORECASE,
)
# a word, or a SQLSTATE as ODBC begins its messages
_TAGGED = re.compile(r"\[(?:[^\W\d]|[0-9A-Z]{5}\])")
# between the words of a sentence, or the cells of a row
_PARTED = re.compile(r"[,|\t;.!?] |[,|\t;]")
_BAD_CODE = re.compile(
    r"^E[A-Z]*_|ERR|FAIL|INVALID|DENIED|NOT_|"
    # a constant's name, or a SQLSTATE
    r"\A(?:[A-Z]+(?:_[A-Z]+)+|[0-9A-Z]{5})\Z|"
    # the class of an exception, as AWS names it
    r"(?:Exception|Error|Fault)\Z"
)
_RULE = re.compile(r"(?=[^-─═]*[-─═])[-+=|: ┼─═│]{3,}")
_PROSE_LIMIT, _BRIEF_LIMIT, _BRIEF_LINES = 2000, 300, 3
_OPENING_WORDS = 6
_LONGEST_CODE = 5
_LONGEST_PART = 4_000  # characters of one half of a message

_ERROR_KEYS = frozenset(
    "error errors err exception error_message errormessage error_msg errmsg "
    "fault".split()
)
# Keys of a message, the most telling first.
_MESSAGE_KEYS = tuple(
    "message msg detail details reason description error_description title text "
    "hint".split()
)
_OUTCOME_KEYS = frozenset(
    "success ok succeeded is_success issuccess successful".split()
)
_BAD_STATUS = frozenset(
    "error failed failure fail err exception denied rejected invalid ko".split()
)
# Keys that stand beside an error; any other is more likely a column.
_ABOUT_ERRORS = frozenset(
    "code status statuscode status_code hint suggestion suggestions category "
    "recoverable type name stack stacktrace stack_trace traceback sql query statement "
    "rowcount row_count rows data columns result results records sqlstate sql_state "
    "tool operation details detail position line column severity errno errorcode "
    "error_code error_type errortype retryable retry_after request_id requestid "
    "timestamp time _meta meta path kind where context database execution_time "
    "executiontime executiontimems execution_time_ms elapsed duration count warnings "
    "instance __type is_error iserror help docs url session_id rows_affected "
    "columns_affected".split()
)
TELLING_KEYS = (
    _ERROR_KEYS
    | _OUTCOME_KEYS
    | {"iserror", "is_error", "status", "message", "title", "detail"}
)
"""Keys, in lower case, without which an object of several keys reports no error."""

# An object whose keys are in lower case.
Lowered = Mapping[str, Any]


# --- errors in texts


def error_in_text(text: str) -> str | None:
    """The message when a text begins like an error report; None for anything else."""
    head = text.lstrip("\ufeff \t\r\n")
    if not head or head[0] in "{<":
        return None

    line = head[:300].partition("\n")[0]
    if not _opens_with_error(line) and not _FAILED.match(line):
        return None
    if _looks_tabular(head[:_PROSE_LIMIT]):
        return None

    return head.strip()


def _opens_with_error(line: str) -> bool:
    """Whether one of the first words says error, and goes on as a report does: with a
    colon or the circumstances.
    """
    noun = _NOUN.search(line[:160])
    if noun is None:
        return False

    before, after = line[: noun.start()], line[noun.end() :]
    opens = len(before.split()) <= _OPENING_WORDS and not _PARTED.search(before)
    return opens and bool(_COLON.match(after) or _AFTER.match(after))


def _looks_tabular(text: str) -> bool:
    """Whether the line under the first is a rule, as in a table whose first column is
    named "error".
    """
    second = text.partition("\n")[2].partition("\n")[0].strip()
    return _RULE.fullmatch(second) is not None


def error_in_prose(text: str) -> str | None:
    """The message when a short text, in which no table was found, speaks of a failure anywhere."""
    head = text.strip()
    if not head or len(head) > _PROSE_LIMIT or head[0] == "{":
        return None
    if head[0] == "[" and not _TAGGED.match(head):
        return None
    if _INSIDE.search(head):
        return head

    brief = len(head) <= _BRIEF_LIMIT and head.count("\n") < _BRIEF_LINES
    return head if brief and _BRIEFLY.search(head) else None


# --- errors in values


def error_in_value(value: Any, selected: tuple[str, ...] = ()) -> str | None:
    """The message when a parsed value reports an error; `selected` are columns the
    statement itself asked for.
    """
    is_alone = isinstance(value, Mapping)
    match value:
        case tuple([code, message]) | list([tuple([code, message])]):
            return _read_driver_error(code, message)
        case list([str() as sentence]):
            return _read_sentence(sentence)
        case list([Mapping() as only]):
            value = only
        case Mapping():
            pass
        case _:
            return None

    if set(map(str, value)) <= set(selected):
        return None

    lowered = {str(key).lower().replace("-", "_"): item for key, item in value.items()}
    reads = _OF_LONE_OBJECT if is_alone else _OF_OBJECT
    return next(filter(None, (read(lowered) for read in reads)), None)


def _read_sentence(text: str) -> str | None:
    """The sentence of an exception, as the only item of a list."""
    # a digit at the start is more likely a value
    begins_with_digit = text.lstrip()[:1].isdigit()
    return error_in_text(text) or (None if begins_with_digit else error_in_prose(text))


def _read_driver_error(code: Any, message: Any) -> str | None:
    """The arguments of a database driver's exception, printed: `(1146, "Table 'a.b'
    doesn't exist")`.
    """
    is_code = isinstance(code, int) or (
        isinstance(code, str) and len(code) <= _LONGEST_CODE
    )
    is_report = is_code and isinstance(message, str) and _speaks_of_error(message)
    return message if is_report else None


def _speaks_of_error(text: str) -> bool:
    return bool(error_in_text(text) or error_in_prose(text))


def _read_outcome(value: Lowered) -> str | None:
    """`success: false`, `ok: false`, `isError: true`, `status: "error"`."""
    said_no = any(value.get(key) is False for key in _OUTCOME_KEYS)
    said_error = any(value.get(key) is True for key in ("iserror", "is_error"))
    if not (said_no or said_error or _has_bad_status(value)):
        return None

    message = _find_message(value)
    # a check that did not pass, and its rows
    if not message and said_no and _has_rows(value):
        return None
    return message or "The server reports a failure without a message."


def _has_bad_status(value: Lowered) -> bool:
    """A word such as "failed" under `status`, which is not a column of rows."""
    if str(value.get("status")).lower() not in _BAD_STATUS or _has_rows(value):
        return False

    return bool(_find_message(value)) or not _other_keys(value)


def _read_named(value: Lowered) -> str | None:
    """A filled `error` among keys that only talk about errors."""
    if not any(value.get(key) for key in _ERROR_KEYS) or _has_rows(value):
        return None

    others = [value[key] for key in _other_keys(value)]
    is_blank = all(item in (None, [], {}, "") for item in others)
    return _find_message(value) if is_blank else None


def _read_coded(value: Lowered) -> str | None:
    """`{"code": "ER_…", "message": …}` and `{"statusCode": 404, …}` and problem details
    (RFC 9457).
    """
    is_told = not value.keys().isdisjoint(("message", "title", "detail"))
    if not is_told or _other_keys(value) or _has_rows(value):
        return None

    keys = ("code", "statuscode", "status_code", "status", "__type")
    code = next((value[key] for key in keys if key in value), None)
    return _find_message(value) if _is_bad_code(code) else None


def _read_problem(value: Lowered) -> str | None:
    """Problem details (RFC 9457), which may have members of their own."""
    is_problem = isinstance(value.get("type"), str) and "title" in value
    is_bad = is_problem and _is_bad_code(value.get("status"))
    return _find_message(value) if is_bad and not _has_rows(value) else None


def _is_bad_code(code: Any) -> bool:
    if isinstance(code, int):
        return 400 <= code < 600
    return isinstance(code, str) and _BAD_CODE.search(code) is not None


def _read_envelope(value: Lowered) -> str | None:
    """An error inside the one key of an envelope: `{"result": {"error": …}}`,
    `{"result": [{"error": …}]}`.
    """
    inner = next(iter(value.values())) if len(value) == 1 else None
    return error_in_value(inner) if isinstance(inner, (list, Mapping)) else None


def _read_lone_object(value: Lowered) -> str:
    """An object on its own, not a row in a list: a sentence under `error`, or `error:
    true` beside a message.
    """
    if _has_rows(value) or not any(value.get(key) for key in _ERROR_KEYS):
        return ""

    if value.get("error") is True:
        said = [value[key] for key in _MESSAGE_KEYS if value.get(key)]
        return next((text for text in said if isinstance(text, str)), "")

    message = _find_message(value)
    is_error = _speaks_of_error(message) or _is_mostly_about_error(value)
    return message if is_error else ""


def _is_mostly_about_error(value: Lowered) -> bool:
    about = value.keys() & {*_ERROR_KEYS, *_MESSAGE_KEYS, *_ABOUT_ERRORS}
    is_named = isinstance(value.get("error"), str)
    return is_named and len(about) > max(2, 2 * len(_other_keys(value)))


def _other_keys(value: Lowered) -> set[str]:
    """Keys that do not talk about an outcome: columns, more likely."""
    return (
        value.keys() - _ERROR_KEYS - _OUTCOME_KEYS - set(_MESSAGE_KEYS) - _ABOUT_ERRORS
    )


def _find_message(value: Lowered) -> str:
    """What is told of a failure: the error, the message beside it, and the data that
    JSON-RPC adds.
    """
    parts: list[str] = []
    for keys in (sorted(_ERROR_KEYS & value.keys()), _MESSAGE_KEYS, ("data",)):
        # data alone is a result
        if keys == ("data",) and not parts:
            break

        found = next(filter(None, (_text_of(value.get(key)) for key in keys)), "")
        lowered = [part.casefold() for part in parts]
        if found and not any(found.casefold() in part for part in lowered):
            parts = [part for part in parts if part.casefold() not in found.casefold()]
            parts.append(found[:_LONGEST_PART])

    *before, last = parts or [""]
    return ": ".join([*(part.rstrip(" .:") for part in before), last])


def _text_of(value: Any) -> str:
    """The words of one entry about a failure."""
    match value:
        case str() as text:
            return text.strip()
        case Mapping() as inner if inner:
            return _message_of_object(inner) or str(dict(inner))
        case list() as items if items:
            return "; ".join(map(_message_of_item, items[:5]))

    return ""


def _message_of_object(value: Mapping[Any, Any]) -> str:
    return _find_message({str(name).lower(): item for name, item in value.items()})


def _message_of_item(item: Any) -> str:
    message = _find_message(item) if isinstance(item, Mapping) else ""
    return message or str(item)


def _has_rows(value: Lowered) -> bool:
    """Whether real rows are beside the error: then it is a warning on a table."""
    for key, item in value.items():
        match item:
            case list([dict() | list(), *_]):
                return not all(isinstance(i, Mapping) and "message" in i for i in item)
            # the error itself, whose details may be a list
            case {"message": str()} if key in _ERROR_KEYS:
                pass
            case Mapping() if any(
                isinstance(sub, list) and sub for sub in item.values()
            ):
                return True

    return False


# By how much they prove. In a list, a column may have the name of an error.
_OF_OBJECT = (_read_outcome, _read_named, _read_coded, _read_problem, _read_envelope)
_OF_LONE_OBJECT = (*_OF_OBJECT, _read_lone_object)
