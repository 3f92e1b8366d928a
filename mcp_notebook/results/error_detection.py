"""Errors that look like data: a failure reported as ordinary text, as an object or as a
table of one row.

Asked before any table is built. A text is an error by how it begins, an object by its keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NOUNS = (
    r"error|errors|exception|failure|fault|fehler|erreur|erro|errore|fout|fel|fejl|feil|b[łl][aą]d|hata|"
    r"ошибка|помилка|错误|錯誤|失败|失敗|エラー|오류|خطأ"
)
_NOUN = re.compile(rf"\w*?(?:{_NOUNS})(?![^\W\d_])", re.IGNORECASE)
_AFTER = re.compile(
    r"\s*(?:$|[-–—(\[=#\d]|(?:executing|running|processing|querying|connecting|parsing|reading|fetching|calling|"
    r"loading|opening|while|when|during|occurred|in|at|from|on|near|code|number|message|was|has)\b)",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"(?:[^\w\s]{0,4}\s{0,4})?(?:"
    r"(?:the |sql |your )?(?:query|statement|execution|request|call|command|operation|connection)"
    r"(?: \w+){0,3} (?:failed|rejected|refused|aborted|denied|timed out|not allowed|forbidden)\b|"
    r"(?:failed|unable|fail) to \w+|could(?: not|n['’]t) \w+|can(?:not|['’]t| not) \w+|"
    r"(?:access|permission) denied|security violation|traceback \(most recent call last\)|"
    r"invalid (?:query|sql|argument|request|parameter|input|token|credentials|identifier)|syntax error|unauthori[sz]ed|"
    r"forbidden|rate limit|too many requests|timed? ?out|timeout|"
    r"not (?:found|allowed|permitted|connected|authorized)\b|"
    r"ORA-\d{5}|SQLSTATE|code: \d+\. \w+|msg \d+, level \d+|ERR_|E\d{4,}:|(?:no|unknown|missing) such \w+|refused\b)",
    re.IGNORECASE,
)
_INSIDE = re.compile(
    r"\bdo(?:es)?(?: not|n['’]t) exist\b|\bno such (?:table|column|file|function|database)\b|\bsyntax error\b|"
    r"\berror in your sql\b|"
    r"\b(?:is|are) not (?:allowed|permitted|supported|authori[sz]ed)\b|\bpermission denied\b|\baccess denied\b|"
    r"\bonly [\w ,/()-]{0,60}(?:select|read)[\w ,/()-]{0,60} (?:are|is) (?:allowed|supported|permitted|accepted)\b|"
    r"\b(?:sqlstate|ora-\d{5}|psycopg2?\.|pymysql\.|sqlalche\.me)|\bfailed with\b|查询失败|執行失敗|执行失败|不存在|"
    r"\b(?:query|execution|connection|request) failed\b|\bn['’]existe pas\b|\bexistiert nicht\b|\bno existe\b",
    re.IGNORECASE,
)
_BRIEFLY = re.compile(
    r"\bunknown (?:column|table|database|function|identifier|user|host)\b|"
    r"\binvalid (?:object|column|table|cursor) name\b|\blost connection\b|"
    r"\bconnection\b[^\n]{0,40}\b(?:lost|closed|refused|reset|terminated|dropped)\b|"
    r"\bcancell?ing statement\b|\bstatement timeout\b|"
    r"\b(?:query|statement)\b[^\n]{0,20}\b(?:was|been) (?:interrupted|cancell?ed|killed)\b|"
    r"\bcould(?: not|n['’]t) (?:run|execute|connect|open|find|parse|convert|read|complete)\b|\bdatabase is locked\b|"
    r"\bdeadlock\b|\bdivision by zero\b|\btoo long for column\b|\bout of (?:range|memory)\b|"
    r"\bduplicate (?:entry|key)\b|"
    r"\bread-?only (?:database|transaction|mode|connection)\b|\bviolates\b[^\n]{0,40}\bconstraint\b|^\W*rejected\b|"
    r"^\d+ validation errors? for \w|"
    r"\bmust (?:start|begin) with (?:select|with)\b|\bnot (?:a )?valid (?:sql|query|select|statement)\b|"
    r"\[(?:microsoft|odbc|mysql|oracle|freetds|unixodbc)[^\]]*\] ?\[|\bsql error code\b|\bis not recogni[sz]ed\b",
    re.IGNORECASE,
)
# a word, or a SQLSTATE as ODBC begins its messages
_TAGGED = re.compile(r"\[(?:[^\W\d]|[0-9A-Z]{5}\])")
_PROSE_LIMIT, _BRIEF_LIMIT, _BRIEF_LINES = 2000, 300, 3

_ERROR_KEYS = {
    "error",
    "errors",
    "err",
    "exception",
    "error_message",
    "errormessage",
    "error_msg",
    "errmsg",
    "fault",
}
_MESSAGE_KEYS = (
    "message",
    "msg",
    "detail",
    "details",
    "reason",
    "description",
    "error_description",
    "title",
    "text",
    "hint",
)
_OUTCOME_KEYS = {"success", "ok", "succeeded", "is_success", "issuccess", "successful"}
_BAD_STATUS = {
    "error",
    "failed",
    "failure",
    "fail",
    "err",
    "exception",
    "denied",
    "rejected",
    "invalid",
    "ko",
}
_ABOUT_ERRORS = {
    "code", "status", "statuscode", "status_code", "hint", "suggestion", "suggestions", "category", "recoverable",
    "type", "name", "stack", "stacktrace", "stack_trace", "traceback", "sql", "query", "statement", "rowcount",
    "row_count", "rows", "data", "columns", "result", "results", "records", "sqlstate", "sql_state", "tool",
    "operation", "details", "detail", "position", "line", "column", "severity", "errno", "errorcode", "error_code",
    "error_type", "errortype", "retryable", "retry_after", "request_id", "requestid", "timestamp", "time", "_meta",
    "meta", "path", "kind", "where", "context", "database", "execution_time", "executiontime", "executiontimems",
    "execution_time_ms", "elapsed", "duration", "count", "warnings", "is_error", "iserror", "help", "docs", "url",
    "session_id", "rows_affected", "columns_affected",
}  # fmt: skip


def error_in_text(text: str) -> str | None:
    """The message when a text begins like an error report; None for anything else."""
    head = text.lstrip("\ufeff \t\r\n")
    if not head or head[0] in "{<":
        return None
    line = head[:300].partition("\n")[0]
    if not (_opens(line) or _FAILED.match(line)) or _looks_tabular(head[:_PROSE_LIMIT]):
        return None
    return head.strip()


def _opens(line: str) -> bool:
    """Whether one of the first words says error, and goes on as a report does: with a
    colon or the circumstances.
    """
    match = _NOUN.search(line[:160])
    if match is None:
        return False
    before, after = line[: match.start()], line[match.end() :]
    if (
        len(before.split()) > 6
        or re.search(r"[,|\t;.!?] |[,|\t;]", before)
        or after.lstrip()[:1] in tuple(",|\t;")
    ):
        return False
    colon = re.search(r"[:：]", after[:120])
    return bool(colon and "|" not in after[: colon.start()]) or bool(
        _AFTER.match(after)
    )


def error_in_prose(text: str) -> str | None:
    """The message when a short text, in which no table was found, speaks of a failure anywhere."""
    head = text.strip()
    if (
        not head
        or len(head) > _PROSE_LIMIT
        or head[0] == "{"
        or (head[0] == "[" and not _TAGGED.match(head))
    ):
        return None
    brief = len(head) <= _BRIEF_LIMIT and head.count("\n") < _BRIEF_LINES
    return head if _INSIDE.search(head) or (brief and _BRIEFLY.search(head)) else None


def _looks_tabular(text: str) -> bool:
    """Whether the line under the first is a rule, as in a table whose first column is
    named "error".
    """
    second = text.partition("\n")[2].partition("\n")[0].strip()
    return (
        len(second) > 2
        and not second.strip("-+=|: ┼─═│")
        and "-" in second.replace("─", "-").replace("═", "-")
    )


def error_in_value(value: Any, selected: tuple[str, ...] = ()) -> str | None:
    """The message when a parsed value reports an error; `selected` are columns the
    statement itself asked for.
    """
    if isinstance(value, tuple) and len(value) == 2:
        return _of_a_driver(*value)
    alone = isinstance(value, Mapping)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
        if isinstance(value, (str, tuple)):
            return _in_a_list(value)
    if not isinstance(value, Mapping) or not value:
        return None
    if selected and {str(key) for key in value} <= set(selected):
        return None
    lowered = {str(key).lower().replace("-", "_"): item for key, item in value.items()}
    return (
        _outcome(lowered)
        or _named(lowered)
        or _coded(lowered)
        or _wrapped(lowered)
        or (_stated(lowered) if alone else "")
    ) or None


def _in_a_list(item: str | tuple[Any, ...]) -> str | None:
    """A driver's exception, or the sentence of one, as the only item of a list."""
    if isinstance(item, tuple):
        return _of_a_driver(*item) if len(item) == 2 else None
    return error_in_text(item) or (
        error_in_prose(item) if not item.lstrip()[:1].isdigit() else None
    )


def _of_a_driver(code: Any, message: Any) -> str | None:
    """The arguments of a database driver's exception, printed: `(1146, "Table 'a.b'
    doesn't exist")`.
    """
    if (
        not isinstance(code, (int, str))
        or not isinstance(message, str)
        or (isinstance(code, str) and len(code) > 5)
    ):
        return None
    return message if error_in_text(message) or error_in_prose(message) else None


def _outcome(value: Mapping[str, Any]) -> str | None:
    """`success: false`, `ok: false`, `isError: true`, `status: "error"`."""
    failed = any(value.get(key) is False for key in _OUTCOME_KEYS)
    failed = failed or value.get("iserror") is True or value.get("is_error") is True
    status = value.get("status")
    if isinstance(status, str) and status.lower() in _BAD_STATUS:
        failed = failed or (
            not _has_rows(value) and (bool(_message(value)) or not _others(value))
        )
    if not failed:
        return None
    return _message(value) or "The server reports a failure without a message."


def _named(value: Mapping[str, Any]) -> str | None:
    """A filled `error` among keys that only talk about errors."""
    named = [key for key in value if key in _ERROR_KEYS and value[key]]
    if not named or _has_rows(value):
        return None
    others = _others(value)
    blank = all(
        item in (None, [], {}, "") for key, item in value.items() if key in others
    )
    return _message(value) if blank else None


def _stated(value: Mapping[str, Any]) -> str:
    """An object on its own, not a row in a list: a sentence under `error`, or `error:
    true` beside a message.
    """
    if _has_rows(value) or not any(value.get(key) for key in _ERROR_KEYS):
        return ""
    if value.get("error") is True:
        return next(
            (
                value[key]
                for key in _MESSAGE_KEYS
                if isinstance(value.get(key), str) and value[key]
            ),
            "",
        )
    said = _message(value)
    about = value.keys() & {*_ERROR_KEYS, *_MESSAGE_KEYS, *_ABOUT_ERRORS}
    explained = (
        len(about) > 2 * len(_others(value))
        and len(about) > 2
        and isinstance(value.get("error"), str)
    )
    return said if explained or error_in_text(said) or error_in_prose(said) else ""


def _others(value: Mapping[str, Any]) -> set[str]:
    """Keys that do not talk about an outcome: columns, more likely."""
    return (
        value.keys() - _ERROR_KEYS - _OUTCOME_KEYS - set(_MESSAGE_KEYS) - _ABOUT_ERRORS
    )


def _coded(value: Mapping[str, Any]) -> str | None:
    """`{"code": "ER_…", "message": …}` and `{"statusCode": 404, …}` and problem details
    (RFC 9457).
    """
    code = value.get(
        "code", value.get("statuscode", value.get("status_code", value.get("status")))
    )
    if (
        not isinstance(code, (str, int))
        or isinstance(code, bool)
        or not _message(value)
    ):
        return None
    if _others(value) or _has_rows(value):
        return None
    bad = (
        400 <= code < 600
        if isinstance(code, int)
        else bool(re.search(r"^E[A-Z]*_|ERR|FAIL|INVALID|DENIED|NOT_", code))
    )
    bad = bad or (
        isinstance(code, str)
        and re.fullmatch(r"[A-Z]+(?:_[A-Z]+)+|[0-9A-Z]{5}", code) is not None
    )
    return (
        _message(value)
        if bad and ("message" in value or "title" in value or "detail" in value)
        else None
    )


def _wrapped(value: Mapping[str, Any]) -> str | None:
    """An error inside the one key of an envelope: `{"result": {"error": …}}`,
    `{"result": [{"error": …}]}`.
    """
    if len(value) != 1:
        return None
    inner = next(iter(value.values()))
    if isinstance(inner, (list, Mapping)):
        return error_in_value(inner)
    return None


def _message(value: Mapping[str, Any]) -> str:
    for key in (*sorted(_ERROR_KEYS & value.keys()), *_MESSAGE_KEYS):
        found = value.get(key)
        if isinstance(found, str) and found.strip():
            return found.strip()
        if isinstance(found, Mapping) and found:
            lowered = {str(name).lower(): item for name, item in found.items()}
            return _message(lowered) or str(dict(found))
        if isinstance(found, list) and found:
            return "; ".join(
                _message(item) if isinstance(item, Mapping) else str(item)
                for item in found[:5]
            )
    return ""


def _has_rows(value: Mapping[str, Any]) -> bool:
    """Whether real rows are beside the error: then it is a warning on a table."""
    for item in value.values():
        if (
            isinstance(item, list)
            and item
            and isinstance(item[0], (dict, list))
            and len(item) > 0
        ):
            return not _only_errors(item)
        if isinstance(item, Mapping) and any(
            isinstance(sub, list) and sub for sub in item.values()
        ):
            return True
    return False


def _only_errors(items: list[Any]) -> bool:
    return all(isinstance(item, Mapping) and "message" in item for item in items)
