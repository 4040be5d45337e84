#!/usr/bin/env python3
"""What no client should send, to a running suite; exits with a text for each answer that is not the right one.

    badinput.py json|requests|heads|framing|pipeline|half-open|limit|slow|garbage|dns|dns-tcp ADDRESS
"""
import http.client
import os
import random
import selectors
import socket
import struct
import sys

command, address = sys.argv[1], sys.argv[2]
PATIENCE_S = 60  # nothing is timed: only a suite that hangs is given up
HTTP, DNS = 8500, 8600
failures = []


def fail(what, got, wanted):
    failures.append(f"{what}: got {got!r:.300}, wanted {wanted!r:.200}")


def connect(port=HTTP):
    return socket.create_connection((address, port), timeout=PATIENCE_S)


def read_all(s):
    """Everything up to the other side's end; a reset counts as an end."""
    data = b""
    try:
        while piece := s.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def raw(request):
    """Sends bytes, ends our direction, returns all that comes."""
    with connect() as s:
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the answer may have come before the end of a request
        return read_all(s)


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


connection = None


def ask(method, path, body=None, headers={}):
    global connection
    connection = connection or http.client.HTTPConnection(address, HTTP, timeout=PATIENCE_S)
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    data = reply.read()
    if reply.will_close:
        connection = None
    return reply.status, data


def expect(method, path, body, status, text):
    """text: what the body begins with."""
    got = ask(method, path, body)
    if got[0] != status or not got[1].startswith(text.encode()):
        fail(f"{method} {path[:80]} {(body or '')[:80]!r}", got, (status, text))


def healthy():
    s, data = ask("GET", "/v1/status/leader")
    if s != 200 or len(data) < 5:
        fail("the leader afterwards", (s, data), 200)


def test_json():
    decode = "Request decode failed: "
    for path in ("agent/service/register", "agent/check/register", "agent/check/update/x", "catalog/register", "catalog/deregister",
                 "session/create"):
        path = "/v1/" + path
        for body, text in (("{\"unterminated\": ", "unexpected EOF"),
                           ("[1, 2", "unexpected EOF"),
                           ("\"a string\"", "json: cannot unmarshal string into Go value of type "),
                           ("[]", "json: cannot unmarshal array into Go value of type "),
                           ("7", "json: cannot unmarshal number into Go value of type "),
                           ("nonsense", "invalid character 'o' in literal null (expecting 'u')"),
                           ("\ufeff{}".encode(), "invalid character 'ï' looking for beginning of value"),
                           ("{'a': 1}", "invalid character '\\'' looking for beginning of object key string"),
                           ("{\"Node\": \"x\",}", "invalid character '}' looking for beginning of object key string"),
                           ("{\"Node\": \"x\" /* c */}", "invalid character '/' after object key:value pair"),
                           ("{\"Node\" \"x\"}", "invalid character '\"' after object key"),
                           ("{\"Node\": \"bad\\escape\"}", "invalid character 'e' in string escape code"),
                           ("{\"Node\": \"line\nfeed\"}", "invalid character '\\n' in string literal"),
                           ("[" * 20000, "")):
            expect("PUT", path, body, 400, decode + text)
        expect("PUT", path, None, 200 if path.endswith("create") else 400, "" if path.endswith("create") else decode + "EOF")
    for path, body, text in (
            ("agent/service/register", {"Name": 7}, "json: cannot unmarshal number into Go struct field .Alias.Name of type string"),
            ("agent/service/register", {"Name": ["e"]}, "json: cannot unmarshal array into Go struct field .Alias.Name of type string"),
            ("agent/service/register", {"Name": "n", "Port": "80"}, "json: cannot unmarshal string into Go struct field .Alias.Port of type int"),
            ("agent/service/register", {"Name": "n", "Tags": "t"}, "json: cannot unmarshal string into Go struct field .Alias.Tags of type []string"),
            ("agent/service/register", {"Name": "n", "Tags": [1]}, "json: cannot unmarshal number into Go struct field .Alias.Tags of type string"),
            ("agent/service/register", {"Name": "n", "Meta": {"a": 1}}, "json: cannot unmarshal number into Go struct field .Alias.Meta of type string"),
            ("agent/service/register", {"Name": "n", "Bogus": 1}, "json: unknown field \"Bogus\""),
            ("agent/check/register", {"Name": 7}, "json: cannot unmarshal number into Go struct field "),
            ("agent/check/register", {"Name": "n", "TTL": "soon"}, "time: invalid duration \"soon\""),
            ("agent/check/register", {"Name": "n", "TTL": "10"}, "time: missing unit in duration \"10\""),
            ("agent/check/register", {"Name": "n", "TTL": "10 s"}, "time: unknown unit \" s\" in duration \"10 s\""),
            ("agent/check/register", {"Name": "n", "TTL": "1d"}, "time: unknown unit \"d\" in duration \"1d\""),
            ("agent/check/register", {"Name": "n", "TTL": "99999999999h"}, "time: invalid duration \"99999999999h\""),
            ("agent/check/register", {"Name": "n", "TTL": ""}, ""),
            ("agent/check/update/x", {"Status": 1}, "json: cannot unmarshal number into Go struct field "),
            ("catalog/register", {"Node": 1}, "json: cannot unmarshal number into Go struct field RegisterRequest.Node of type string"),
            ("catalog/register", {"Node": "n", "Address": {}}, "json: cannot unmarshal object into Go struct field RegisterRequest.Address of type string"),
            ("catalog/deregister", {"Node": []}, "json: cannot unmarshal array into Go struct field "),
            ("session/create", {"TTL": 5}, "json: cannot unmarshal number into Go struct field "),
            ("session/create", {"LockDelay": "never"}, "time: invalid duration \"never\"")):
        import json
        if body != {"Name": "n", "TTL": ""}:
            expect("PUT", "/v1/" + path, json.dumps(body), 400, decode + text)
    expect("PUT", "/v1/agent/service/register", "{}", 400, "Missing service name")
    expect("PUT", "/v1/agent/service/register", '{"Name": null}', 400, "Missing service name")
    expect("PUT", "/v1/agent/check/register", "{}", 400, "Missing check name")
    expect("PUT", "/v1/agent/check/register", '{"Name": "n"}', 400, "Invalid check: ")
    expect("PUT", "/v1/agent/check/register", '{"Name": "n", "TTL": "-1s"}', 400, "Invalid check: ")
    expect("PUT", "/v1/agent/check/register", '{"Name": "n", "TTL": "1s", "Status": "fine"}', 400, "Bad check status")
    expect("PUT", "/v1/catalog/register", "{}", 500, "Must provide node")
    expect("PUT", "/v1/catalog/register", '{"Node": "two"} {"Node": "docs"}', 500, "")
    expect("PUT", "/v1/session/create", '{"TTL": "1s"}', 500, "")
    # bad UTF-8 in a body is taken and shown as what it is not
    expect("PUT", "/v1/agent/service/register", b'{"Name": "utf\xff\xfe8"}', 200, "")
    status, data = ask("GET", "/v1/agent/services")
    if "utf\ufffd\ufffd8" not in data.decode():
        fail("bad UTF-8 in a name", data, "utf\ufffd\ufffd8")
    status, data = ask("GET", "/v1/agent/services")
    if set(__import__("json").loads(data)) != {"utf\ufffd\ufffd8"}:
        fail("services afterwards", data, "only that one")
    status, data = ask("GET", "/v1/agent/checks")
    if data != b"{}":
        fail("checks afterwards", data, "{}")


def test_requests():
    unknown, no_v1 = "Invalid URL path: not a recognized HTTP API endpoint\n", "Invalid URL path: if attempting to use the HTTP API"
    for path, text in (("/v1/nothing", unknown), ("/v1/status/leader/", unknown), ("/v1/status%2Fleader", unknown), ("/v1/kvs/x", unknown),
                       ("/v1", no_v1), ("/V1/status/leader", no_v1), ("/v2/status/leader", no_v1), ("/favicon.ico", no_v1)):
        expect("GET", path, None, 404, text)
    for method, path in (("POST", "/v1/catalog/nodes"), ("PUT", "/v1/catalog/services"), ("DELETE", "/v1/health/state/any"),
                         ("POST", "/v1/session/list"), ("DELETE", "/v1/agent/members"), ("PATCH", "/v1/agent/checks"), ("GET", "/v1/agent/leave"),
                         ("GET", "/v1/agent/service/register"), ("GET", "/v1/catalog/register"), ("TRACE", "/v1/kv/x"), ("FOO", "/v1/kv/x")):
        expect(method, path, None, 405, f"method {method} not allowed")
    for path in ("/v1/kv/x", "/v1/catalog/nodes", "/v1/health/state/any", "/v1/session/list"):
        for index in ("x", "-1", "1.5", "1e3", "18446744073709551616", "0x10", "%201"):
            expect("GET", f"{path}?index={index}", None, 400, "Invalid index")
        for wait in ("x", "10", "1d", "1s1", "%201s", "--1s", "1.s.s", "s", "99999999999h"):
            expect("GET", f"{path}?index=1&wait={wait}", None, 400, "Invalid wait time")
        expect("GET", f"{path}?stale&consistent", None, 400, "Cannot specify ?stale with ?consistent, conflicting semantics.")
    # an index far in the future is no error
    got = ask("GET", "/v1/kv/x?index=18446744073709551615&wait=1ms")
    if got[0] != 404:
        fail("the last index", got, 404)
    for path in ("/v1/kv/x?flags=-1", "/v1/kv/x?flags=x", "/v1/kv/x?flags=18446744073709551616", "/v1/kv/x?cas=x", "/v1/kv/x?cas=-1"):
        status, data = ask("PUT", path, "v")
        if status not in (400, 500):
            fail(path, (status, data), "400 or 500")
    status, data = ask("PUT", "/v1/kv/x?acquire=nobody", "v")
    if status != 500:
        fail("acquire without session", (status, data), 500)
    for path in ("/v1/catalog/node/", "/v1/catalog/service/", "/v1/health/service/", "/v1/health/node/", "/v1/health/checks/"):
        expect("GET", path, None, 400, "Missing ")
    for path in ("/v1/kv/a%00b", "/v1/kv/a%0Ab", "/v1/kv/a%7Fb", "/v1/kv/a%E2%80%8Bb"):
        expect("PUT", path, "v", 400, "")
    expect("PUT", "/v1/kv/%ff%fe", "bytes", 200, "true")
    expect("GET", "/v1/kv/%ff%fe?raw", None, 200, "bytes")
    expect("GET", "/v1/health/service/%ff%fe", None, 200, "[]")
    expect("GET", "/v1/catalog/nodes?filter=" + "%28" * 2000, None, 500, "")
    expect("GET", "/v1/kv/" + "p" * 70000, None, 404, "")


def test_heads():
    host = b"Host: x\r\n"
    for head, status in (
            (b"GET /v1/status/leader HTTP/1.1\r\n\r\n", 400), (b"GARBAGE\r\n\r\n", 400), (b"\0\0\0\0\r\n\r\n", 400), (b"\r\n" * 3 + b"X\r\n\r\n", 400),
            (b"GET /v1/status/leader HTTP/9.9\r\n" + host + b"\r\n", 505), (b"get /v1/status/leader HTTP/1.1\r\n" + host + b"\r\n", 405),
            (b"GET /v1/kv/%zz HTTP/1.1\r\n" + host + b"\r\n", 400), (b"GET v1/status/leader HTTP/1.1\r\n" + host + b"\r\n", 400),
            (b"GET /v1/status/leader HTTP/1.1\r\n" + host + b"bad header line\r\n\r\n", 400),
            (b"GET /v1/status/leader HTTP/1.1\r\n" + host + host + b"\r\n", 400),
            (b"GET /v1/status/leader HTTP/1.1\r\n" + host + b"Bad Name: 1\r\n\r\n", 400),
            (b"PUT /v1/kv/a HTTP/1.1\r\n" + host + b"Content-Length: -5\r\n\r\n", 400),
            (b"PUT /v1/kv/a HTTP/1.1\r\n" + host + b"Content-Length: five\r\n\r\n", 400),
            (b"PUT /v1/kv/a HTTP/1.1\r\n" + host + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
            (b"PUT /v1/kv/a HTTP/1.1\r\n" + host + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
            (b"PUT /v1/kv/a HTTP/1.1\r\n" + host + b"Transfer-Encoding: rot13\r\n\r\nabcd", 501),
            (b"GET /v1/status/leader HTTP/1.1\r\n" + host + b"X-Long: " + b"y" * 2000000 + b"\r\n\r\n", 431),
            (b"GET /v1/status/leader HTTP/1.1\r\n" + host + b"X: y\r\n" * 400000 + b"\r\n", 431),
            (b"GET /" + b"y" * 2000000 + b" HTTP/1.1\r\n" + host + b"\r\n", 431),
            (b"PUT /v1/kv/a HTTP/1.1\r\n" + host + b"Content-Length: 9999999999\r\n\r\n", 413)):
        answer = raw(head)
        if status_of(answer) != status:
            fail(head[:100], answer, status)
    # a head that is large, but not too large
    answer = raw(b"GET /v1/status/leader HTTP/1.1\r\n" + host + b"X-Long: " + b"y" * 500000 + b"\r\nConnection: close\r\n\r\n")
    if status_of(answer) != 200:
        fail("a head of 500 kB", answer, 200)


def test_framing():
    put = b"PUT /v1/kv/cut HTTP/1.1\r\nHost: x\r\n"
    whole = put + b"Content-Length: 10\r\n\r\n0123456789"
    # cut at every place: no answer of success, nothing stored
    for cut in list(range(1, len(whole) - 1, 7)) + [len(whole) - 1]:
        answer = raw(whole[:cut])
        if status_of(answer) not in (None, 400):
            fail(f"cut at {cut}", answer, "an error or nothing")
    for body in (b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"ffffffffffffffffffff\r\nabc", b"-3\r\nabc\r\n0\r\n\r\n", b"3\r\nab", b"3\r\nabc\r\n",
                 b"0", b"3;" + b"x" * 100000 + b"\r\nabc\r\n"):
        answer = raw(put + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        if status_of(answer) not in (None, 400, 413):
            fail(f"chunked {body[:40]}", answer, "an error or nothing")
    # one that goes on without end is refused before its end
    with connect() as s:
        sent = 0
        try:
            s.sendall(put + b"Transfer-Encoding: chunked\r\n\r\n")
            while sent < 100 * 1024 * 1024:
                s.sendall(b"10000\r\n" + b"y" * 65536 + b"\r\n")
                sent += 65536
            fail("a body without end", f"{sent} bytes were taken", "refused")
        except ConnectionError:
            pass
    status, data = ask("GET", "/v1/kv/cut")
    if status != 404:
        fail("the key of the cut requests", (status, data), 404)
    answer = raw(put + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: z\r\n\r\n")
    if not answer.endswith(b"true"):
        fail("a good chunked body", answer, "true")
    if ask("GET", "/v1/kv/cut?raw") != (200, b"abcde"):
        fail("what it stored", ask("GET", "/v1/kv/cut?raw"), b"abcde")


def test_pipeline():
    count = 500
    requests = b"".join(b"PUT /v1/kv/pipe/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%d" % (i, len(str(i)), i) for i in range(count))
    requests += b"".join(b"GET /v1/kv/pipe/%d?raw HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(count))
    requests += b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGARBAGE THAT NOBODY READS"
    answers = raw(requests)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    wanted = [b"true"] * count + [str(i).encode() for i in range(count)]
    if bodies[:2 * count] != wanted or len(bodies) != 2 * count + 1:
        wrong = next((i for i, (a, b) in enumerate(zip(bodies, wanted)) if a != b), len(bodies))
        fail("pipelined answers", (len(bodies), wrong, bodies[wrong:wrong + 1]), "each in its place")
    # a bad one among good ones: those before it are answered, none behind it
    answers = raw(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\nBAD\r\n\r\nPUT /v1/kv/behind HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1")
    if answers.count(b"HTTP/1.1 ") != 2 or b"HTTP/1.1 400" not in answers:
        fail("bad among good", answers, "200, 400, end")
    if ask("GET", "/v1/kv/behind")[0] != 404:
        fail("behind a bad request", "stored", 404)


def test_half_open():
    """Clients that begin and do not go on, of every kind, while others are served."""
    begun = []
    for i in range(600):
        s = connect()
        s.sendall((b"", b"G", b"GET /v1/status/leader HTTP/1.1\r\nHo", b"PUT /v1/kv/half HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
                   b"PUT /v1/kv/half HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nabc",
                   b"GET /v1/kv/?recurse HTTP/1.1\r\nHost: x\r\n\r\n" * 20)[i % 6])
        begun.append(s)
        if i % 20 == 0:
            healthy()
            status, _ = ask("PUT", f"/v1/kv/served/{i}", "x" * 1000)
            if status != 200:
                fail("a write meanwhile", status, 200)
    status, data = ask("GET", "/v1/kv/served/?keys")
    if status != 200 or data.count(b"served/") != 30:
        fail("keys meanwhile", (status, data), 30)
    # those that go on are answered: slow is not dead
    for s in begun[2::6]:
        s.sendall(b"st: x\r\nConnection: close\r\n\r\n")
    for s in begun[2::6]:
        if status_of(read_all(s)) != 200:
            fail("a slow client that goes on", "no answer", 200)
    for s in begun:
        s.close()


def test_limit():
    """The limit of connections per client is 50 here."""
    held = []
    for i in range(50):
        s = connect()
        s.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n")
        if status_of(s.recv(65536)) != 200:
            fail(f"connection {i}", "no answer", 200)
        held.append(s)
    for i in range(5):
        with connect() as s:
            answer = read_all(s)
            if status_of(answer) != 429:
                fail("one too many", answer, 429)
    # another client is not meant
    s = socket.socket()
    s.settimeout(PATIENCE_S)
    s.bind(("127.0.0.99", 0))
    s.connect((address, HTTP))
    s.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    if status_of(read_all(s)) != 200:
        fail("another client", "no answer", 200)
    for s in held:
        s.close()
    # and after them it is welcome again, as soon as their end has been seen
    for _ in range(100000):
        with connect() as s:
            try:
                s.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            except ConnectionError:
                continue
            if status_of(read_all(s)) == 200:
                return
    fail("after the others went", "refused", 200)


def test_slow():
    """Clients that ask for much and read nothing, then read it all."""
    for i in range(40):
        ask("PUT", f"/v1/kv/large/{i}", os.urandom(200000))
    status, whole = ask("GET", "/v1/kv/large/?recurse")
    if status != 200 or len(whole) < 40 * 200000:
        fail("a large answer", (status, len(whole)), 200)
    clients = []
    for _ in range(20):
        s = socket.socket()
        s.settimeout(PATIENCE_S)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.connect((address, HTTP))
        s.sendall(b"GET /v1/kv/large/?recurse HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(s)
    for i in range(50):
        healthy()
    for s in clients[::2]:
        s.close()
    selector = selectors.DefaultSelector()
    got = {s: b"" for s in clients[1::2]}
    for s in got:
        s.shutdown(socket.SHUT_WR)
        selector.register(s, selectors.EVENT_READ)
    while selector.get_map():
        ready = selector.select(PATIENCE_S)
        if not ready:
            fail("slow readers", "nothing comes", "the rest of the answers")
            break
        for key, _ in ready:
            piece = key.fileobj.recv(1 << 20)
            got[key.fileobj] = (got[key.fileobj] + piece)[-1000:]
            if not piece:
                selector.unregister(key.fileobj)
    for s, end in got.items():
        if end != whole[-1000:]:
            fail("a slow reader", end[-100:], "the whole answer")
        s.close()


def garbage(rng):
    kind = rng.randrange(6)
    size = rng.choice((1, 2, 3, 7, 64, 512, 1400, 9000))
    if kind == 0:
        return rng.randbytes(size)
    if kind == 1:
        return bytes(size)
    if kind == 2:
        return b"\xff" * size
    if kind == 3:
        return bytes([rng.randrange(16)]) + rng.randbytes(size)
    if kind == 4:
        return struct.pack(">I", rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF))) + rng.randbytes(size)
    return b"GET / HTTP/1.1\r\n\r\n" + rng.randbytes(size)


def test_garbage():
    rng = random.Random(int(os.environ.get("SEED", "3")))
    for port in (HTTP, DNS, 8300, 8301, 8302):
        for _ in range(200):
            try:
                with connect(port) as s:
                    s.sendall(garbage(rng))
                    s.shutdown(socket.SHUT_WR)
                    read_all(s)
            except (ConnectionError, OSError) as e:
                if isinstance(e, TimeoutError):
                    fail(f"garbage at {port}", "neither answer nor end", "an end")
        # without an end of our own: it is dropped when the suite says so or when we go
        held = []
        for _ in range(50):
            s = connect(port)
            try:
                s.sendall(garbage(rng))
            except OSError:
                pass
            held.append(s)
        for s in held:
            s.close()
        healthy()
    for port in (DNS, 8301, 8302):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(3000):
                s.sendto(garbage(rng), (address, port))
        healthy()


QUERY = bytes.fromhex("1234 0100 0001 0000 0000 0000".replace(" ", ""))
GOOD = QUERY + b"\x09agent-one\x04node\x06consul\x00\x00\x01\x00\x01"
BAD_PACKETS = (
    b"", b"\x12", QUERY[:11], QUERY, GOOD[:-1], GOOD[:20],
    QUERY + b"\x3fshort\x00\x00\x01\x00\x01",  # a label that is longer than the packet
    QUERY + b"\xc0\x0c\x00\x01\x00\x01",  # a name that points to itself
    QUERY + b"\xc0\xff\x00\x01\x00\x01",  # and one that points behind the end
    QUERY + b"\x80abc\x00\x00\x01\x00\x01", QUERY + b"\x40abc\x00\x00\x01\x00\x01",
    QUERY + b"\x01a" * 200 + b"\x00\x00\x01\x00\x01",  # a name over 255 bytes
    QUERY[:4] + b"\x00\x00" + QUERY[6:], QUERY[:4] + b"\xff\xff" + GOOD[6:], QUERY[:4] + b"\x00\x02" + GOOD[6:],
    GOOD[:2] + b"\x81\x00" + GOOD[4:],  # an answer
    GOOD[:10] + b"\x00\x01" + GOOD[12:] + b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\xff\xff",  # EDNS with a length that lies
)
# Odd, but the reference's DNS library takes them: a question that ends with its name, a promised record that is not there, two OPT records, NOTIFY.
ODD_PACKETS = (GOOD[:-4], GOOD[:10] + b"\x00\x01" + GOOD[12:], GOOD[:10] + b"\x00\x02" + GOOD[12:] + b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00" * 2,
               GOOD[:2] + bytes([4 << 3 | 1, 0]) + GOOD[4:])
OPCODES = tuple(GOOD[:2] + bytes([op << 3 | 1, 0]) + GOOD[4:] for op in range(1, 16) if op != 4)


def check_dns(packet, answer):
    """Refused, or an answer that begins as it must."""
    if len(answer) < 12 or answer[:2] != packet[:2] or not answer[2] & 0x80:
        fail(f"DNS {packet.hex()}", answer, "an answer with that ID")
    return answer[3] & 15


def test_dns():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((address, DNS))

        def good_query(others):
            """The good query is always answered; UDP may lose it on a busy machine, so it is asked again. others: gets all other answers."""
            good = os.urandom(2) + GOOD[2:]
            s.settimeout(PATIENCE_S / 20)
            for _ in range(20):
                s.send(good)
                try:
                    while (answer := s.recv(65536))[:2] != good[:2]:
                        others(answer)
                except TimeoutError:
                    continue
                if check_dns(good, answer) != 0 or answer[6:8] != b"\0\1":
                    fail("a good query", answer, "an address")
                return
            fail("a good query", "no answer", "an address")

        def refused(packet):
            def judge(answer):
                if answer[:2] == packet[:2] and check_dns(packet, answer) not in (1, 4, 5):
                    fail(f"DNS {packet.hex()}", answer, "FORMERR, NOTIMP, REFUSED or silence")
            return judge

        for packet in BAD_PACKETS:
            s.send(packet)
            good_query(refused(packet))
        for packet in OPCODES:
            s.send(packet)
            good_query(refused(packet))
        for packet in ODD_PACKETS:
            s.send(packet)
            good_query(lambda answer: answer[:2] != packet[:2] or check_dns(packet, answer))
        # names as long as names may be, of octets that are long in text
        for zone in (b"service", b"node", b"query", b"addr", b"connect", b"virtual", b"ingress"):
            for labels in ((63,), (63, 63, 63, 40), (1,) * 110, (63, 1, 63), (30,) * 7):
                s.send(QUERY + b"".join(bytes([n]) + b"\xff" * n for n in labels) + bytes([len(zone)]) + zone + b"\x06consul\x00\x00\xff\x00\x01")
            good_query(lambda answer: None)
        # every cut and every flipped bit of a good query, each behind a long name
        long_name = QUERY + (b"\x3f" + b"x" * 63) * 3 + b"\x3c" + b"\xff" * 60 + b"\x00\x00\x01\x00\x01"
        for packet in [b"\0\0" + GOOD[2:i] for i in range(len(GOOD))] + [
                bytes(b ^ (1 << i % 8 if i // 8 == n else 0) for n, b in enumerate(b"\0\0" + GOOD[2:])) for i in range(16, 8 * len(GOOD))]:
            s.send(long_name)
            s.send(packet)
            good_query(lambda answer: None)
    healthy()


def test_dns_tcp():
    def frame(packet, size=None):
        return struct.pack(">H", len(packet) if size is None else size) + packet

    def take(s):
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
            piece = s.recv(65536)
            if not piece:
                return None
            data += piece
        return data[2:]

    for lie in (frame(GOOD, 0), frame(GOOD, 1), frame(GOOD, 11), frame(GOOD, len(GOOD) - 1), frame(GOOD, len(GOOD) + 1), frame(GOOD, 65535), b"\0", b"\0\0",
                frame(b""), frame(b"x" * 65535), frame(GOOD)[:-3]) + tuple(frame(p) for p in BAD_PACKETS):
        with connect(DNS) as s:
            try:
                s.sendall(lie)
                s.shutdown(socket.SHUT_WR)
                answer = read_all(s)
            except OSError:
                continue
            if len(answer) > 5 and answer[5] & 15 == 0 and answer[8:10] != b"\0\0":
                fail(f"DNS over TCP {lie[:60].hex()}", answer, "no data")
    # byte by byte, two in one piece, a second one after an answer, all on one connection
    with connect(DNS) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(GOOD):
            s.send(bytes([byte]))
        if (answer := take(s)) is None or check_dns(GOOD, answer) != 0:
            fail("byte by byte", answer, "an answer")
        s.sendall(frame(b"\0\1" + GOOD[2:]) + frame(b"\0\2" + GOOD[2:]))
        data = b""
        while data.count(b"agent-one") < 2:
            piece = s.recv(65536)
            if not piece:
                fail("two in one piece", data, "two answers")
                break
            data += piece
    # many that send a length and nothing else
    held = []
    for _ in range(100):
        s = connect(DNS)
        s.sendall(b"\xff\xff")
        held.append(s)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE_S)
        s.connect((address, DNS))
        s.send(GOOD)
        check_dns(GOOD, s.recv(65536))
    for s in held:
        s.close()
    healthy()


{"json": test_json, "requests": test_requests, "heads": test_heads, "framing": test_framing, "pipeline": test_pipeline, "half-open": test_half_open,
 "limit": test_limit, "slow": test_slow, "garbage": test_garbage, "dns": test_dns, "dns-tcp": test_dns_tcp}[command]()
if command != "limit":
    healthy()
for text in failures[:40]:
    print(text)
sys.exit(1 if failures else 0)
