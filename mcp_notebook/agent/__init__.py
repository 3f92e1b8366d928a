"""The agent loop: Claude's turns and tool calls as one stream of events. `anthropic`
loads on first use.
"""
