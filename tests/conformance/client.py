"""The client command of the conformance suite, through our session code: `python client.py URL`.

The suite says in MCP_CONFORMANCE_SCENARIO what to do, in MCP_CONFORMANCE_CONTEXT (JSON)
with which credentials, and in MCP_CONFORMANCE_PROTOCOL_VERSION in which revision of the
protocol.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.types import (
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitResult,
    TextContent,
)

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from mcp_notebook import loop
from mcp_notebook.config import HttpServer
from mcp_notebook.errors import NotebookError
from mcp_notebook.sessions import Session, SessionHooks, Sessions

SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "initialize")
CONTEXT: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
VERSION = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
METADATA = "https://conformance-test.local/client-metadata.json"
BLANKS = {
    "string": "x",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "object": {},
    "array": [],
}
CALLS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "tools_call": [("add_numbers", {"a": 5, "b": 3})],
    "request-metadata": [("add_numbers", {"a": 5, "b": 3})],
    "http-standard-headers": [("add_numbers", {"a": 5, "b": 3})],
    "sse-retry": [("test_reconnection", {})],
    "elicitation-sep1034-client-defaults": [("test_client_elicitation_defaults", {})],
    "sep-2322-client-request-state": [
        (f"test_mrtr_{name}", {})
        for name in ("echo_state", "unrelated", "no_state", "no_result_type")
    ],
}


async def accept_defaults(server: str, params: Any) -> ElicitResult:
    """A person who leaves every field of the form as it is."""
    if not isinstance(params, ElicitRequestFormParams):
        return ElicitResult(action="decline")
    fields = params.requested_schema.get("properties", {})
    filled = {
        name: field.get("default", True)
        for name, field in fields.items()
        if _has_default(field)
    }
    return ElicitResult(action="accept", content=filled)


def _has_default(field: dict[str, Any]) -> bool:
    return "default" in field or field.get("type") == "boolean"


async def answer(server: str, params: Any) -> CreateMessageResult:
    return CreateMessageResult(
        role="assistant", content=TextContent(type="text", text="hi"), model="none"
    )


async def no_folders(server: str) -> list[str]:
    return []


async def follow_link(server: str, url: str) -> str:
    """A person who signs in at once and pastes the address that the browser was sent to."""
    async with httpx2.AsyncClient() as browser:
        return (await browser.get(url)).headers["location"]


def oauth() -> dict[str, str] | None:
    """The "oauth" entry that a person would write into the config for this scenario."""
    if not SCENARIO.startswith("auth/"):
        return None
    told = {
        key: CONTEXT[key] for key in ("client_id", "client_secret") if CONTEXT.get(key)
    }
    if SCENARIO == "auth/client-credentials-basic":
        return {**told, "grant": "client_credentials"}
    if SCENARIO == "auth/client-credentials-jwt":
        with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as key:
            key.write(CONTEXT["private_key_pem"])
        return {
            **told,
            "private_key": key.name,
            "algorithm": CONTEXT.get("signing_algorithm", "ES256"),
        }
    return {
        **told,
        "client_metadata_url": METADATA,
        "redirect_uri": "http://localhost:3000/callback",
    }


def enterprise(url: str) -> httpx2.Auth | None:
    """Sign-in through a company's identity provider: an httpx2.Auth that the person brings."""
    if SCENARIO not in (
        "auth/enterprise-managed-authorization",
        "auth/cross-app-access-complete-flow",
    ):
        return None
    parts = urlsplit(url)
    metadata = httpx2.get(
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path}"
    ).json()

    async def assertion(audience: str, resource: str) -> str:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            "subject_token": CONTEXT["idp_id_token"],
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "audience": audience,
            "resource": resource,
            "client_id": CONTEXT["idp_client_id"],
        }
        async with httpx2.AsyncClient() as client:
            reply = await client.post(CONTEXT["idp_token_endpoint"], data=form)
            return reply.raise_for_status().json()["access_token"]

    return IdentityAssertionOAuthProvider(
        server_url=url,
        storage=_store(url),
        client_id=CONTEXT["client_id"],
        client_secret=CONTEXT["client_secret"],
        issuer=metadata["authorization_servers"][0],
        assertion_provider=assertion,
        token_endpoint_auth_method="client_secret_basic",
    )


def _store(url: str) -> Any:
    from mcp_notebook.sessions.oauth import TokenStore

    return TokenStore(url)


def calls(session: Session) -> list[tuple[str, dict[str, Any]]]:
    """What the scenario wants called."""
    tools = {tool.name: tool for tool in session.tools}
    if SCENARIO == "http-custom-headers":
        wanted = CONTEXT.get("toolCalls", [])
        return [
            (call["name"], call.get("arguments") or {})
            for call in wanted
            if call["name"] in tools
        ]
    if SCENARIO == "http-invalid-tool-headers":
        return [(name, _blank(tool.input_schema)) for name, tool in tools.items()]
    if SCENARIO == "json-schema-2020-12-preservation":
        return [
            (
                "json_schema_echo",
                {"schema": tools["json_schema_2020_12_tool"].input_schema},
            )
        ]
    if SCENARIO.startswith("auth/"):
        return [(name, {}) for name in list(tools)[:1]]
    return CALLS.get(SCENARIO, [])


def _blank(schema: dict[str, Any]) -> dict[str, Any]:
    fields = schema.get("properties", {})
    return {
        name: BLANKS.get(fields.get(name, {}).get("type"), "x")
        for name in schema.get("required", [])
    }


async def run(url: str) -> None:
    asking = (
        {"sample": answer, "roots": no_folders}
        if SCENARIO == "request-metadata"
        else {}
    )
    sessions = Sessions(
        hooks=SessionHooks(elicit=accept_defaults, authorize=follow_link, **asking)
    )
    bring = enterprise(url)
    spec = HttpServer(
        url, transport="http", oauth=None if bring else oauth(), auth=bring
    )
    legacy = (
        VERSION != "" and VERSION < "2026"
    ) or SCENARIO == "json-schema-ref-no-deref"
    session = await sessions.connect("suite", spec, legacy=legacy, timeout=40)
    for tool, arguments in calls(session):
        try:
            await session.call(tool, arguments, timeout=25)
        except NotebookError as error:
            print("call failed:", tool, error, file=sys.stderr)
    await sessions.close_all()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        loop.run(run(sys.argv[-1]))
