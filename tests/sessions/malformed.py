"""Replies that are wrong in one way each, for `misbehaving.py`'s `raw`; `$ID` is the id
of the call.
"""

RESULT = '{"jsonrpc":"2.0","id":$ID,"result":'
GOOD = '{"content":[{"type":"text","text":"x"}]}'

KEPT = {  # the session mends these, or they are right though odd: the call has a result
    "id as text": '{"jsonrpc":"2.0","id":"$ID","result":' + GOOD + "}",
    "no jsonrpc": '{"id":$ID,"result":' + GOOD + "}",
    "result and error": RESULT + GOOD + ',"error":{"code":1,"message":"m"}}',
    "infinity": RESULT + '{"content":[],"structuredContent":{"x":Infinity}}}',
    "block null": RESULT + '{"content":[null]}}',
    "block text": RESULT + '{"content":["hello"]}}',
    "block number": RESULT + '{"content":[5]}}',
    "block no type": RESULT + '{"content":[{"text":"x"}]}}',
    "block type number": RESULT + '{"content":[{"type":5}]}}',
    "text number": RESULT + '{"content":[{"type":"text","text":5}]}}',
    "text null": RESULT + '{"content":[{"type":"text","text":null}]}}',
    "text missing": RESULT + '{"content":[{"type":"text"}]}}',
    "image no data": RESULT + '{"content":[{"type":"image"}]}}',
    "image bad base64": RESULT
    + '{"content":[{"type":"image","data":"!!!","mimeType":"image/png"}]}}',
    "resource empty": RESULT
    + '{"content":[{"type":"resource","resource":{"uri":"x://y"}}]}}',
    "resource bad uri": RESULT
    + '{"content":[{"type":"resource","resource":{"uri":"not a uri","text":"t"}}]}}',
    "link no name": RESULT + '{"content":[{"type":"resource_link","uri":"x://y"}]}}',
    "structured list": RESULT + '{"content":[],"structuredContent":[1]}}',
    "structured text": RESULT + '{"content":[],"structuredContent":"x"}}',
    "meta list": RESULT + '{"content":[],"_meta":[]}}',
    "annotations text": RESULT
    + '{"content":[{"type":"text","text":"x","annotations":"a"}]}}',
    "extra keys": RESULT + '{"content":[],"surprise":{"a":1}}}',
    "resultType": RESULT + '{"resultType":"odd","content":[]}}',
    # Errors that break the protocol are errors that the tool told; parts are parts.
    "error text": '{"jsonrpc":"2.0","id":$ID,"error":"failed"}',
    "error null": '{"jsonrpc":"2.0","id":$ID,"error":null}',
    "error no message": '{"jsonrpc":"2.0","id":$ID,"error":{"code":-1}}',
    "error message number": '{"jsonrpc":"2.0","id":$ID,"error":{"code":-1,"message":5}}',
    "isError text": RESULT + '{"content":[],"isError":"maybe"}}',
    "content null": RESULT + '{"content":null}}',
    "content text": RESULT + '{"content":"hello"}}',
    "content object": RESULT + '{"content":{"type":"text","text":"x"}}}',
    "content-length framing": "Content-Length: 20\r\n\r\n" + RESULT + GOOD + "}",
}
ENDED = {  # the call ends at once with one sentence
    "id float": '{"jsonrpc":"2.0","id":$ID.0,"result":' + GOOD + "}",
    "id null result": '{"jsonrpc":"2.0","id":null,"result":' + GOOD + "}",
    "id missing": '{"jsonrpc":"2.0","result":' + GOOD + "}",
    "id list": '{"jsonrpc":"2.0","id":[$ID],"result":' + GOOD + "}",
    "id true": '{"jsonrpc":"2.0","id":true,"result":' + GOOD + "}",
    "id null error": '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
    "cut": RESULT + '{"content":[{"type":"te',
    "two in one line": RESULT + GOOD + "}" + RESULT + GOOD + "}",
    "jsonrpc 1.0": '{"jsonrpc":"1.0","id":$ID,"result":' + GOOD + "}",
    "jsonrpc number": '{"jsonrpc":2.0,"id":$ID,"result":' + GOOD + "}",
    "neither": '{"jsonrpc":"2.0","id":$ID}',
    "result list": RESULT + "[1,2]}",
    "result text": RESULT + '"hello"}',
    "result number": RESULT + "5}",
    "result true": RESULT + "true}",
    "python dict": "{'jsonrpc': '2.0', 'id': $ID, 'result': {'content': []}}",
    "trailing comma": RESULT + '{"content":[],}}',
    "comment": RESULT + GOOD + "} // done",
    "newline in text": RESULT + '{"content":[{"type":"text","text":"a\nb"}]}}',
    "NULs": RESULT + GOOD + "}\0\0",
    "tab indent": '{\n\t"jsonrpc": "2.0",\n\t"id": $ID,\n\t"result": {"content": []}\n}',
    "negative id": '{"jsonrpc":"2.0","id":-5,"result":' + GOOD + "}",
    "huge id": '{"jsonrpc":"2.0","id":999999999999999999999999999999,"result":'
    + GOOD
    + "}",
}
BESIDE = {  # no reply at all: they pass by, and the reply that follows is taken
    "html": "<html><body>502 Bad Gateway</body></html>",
    "empty object": "{}",
    "number": "5",
    "request back": '{"jsonrpc":"2.0","id":$ID,"method":"tools/call","params":{}}',
    "unknown request": '{"jsonrpc":"2.0","id":77,"method":"odd/thing","params":{}}',
    "unknown notification": '{"jsonrpc":"2.0","method":"notifications/odd"}',
    "bad notification": '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"loud"}}',
}
