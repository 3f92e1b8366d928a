"""Recorded turns of a model, kept beside the notebook: what `%%claude` answers with
when there is no model to ask.

`RecordTransport` and `ReplayTransport` (transports) go under the ordinary Anthropic
client (`http_client`), so the loop, the tools and the approvals are the same code with
and without a model. Tools run live in a replay; where their results differ from the
recorded ones, that is drift (sidecar), and it is shown.
"""
