#!/usr/bin/env python3
"""Many parked blocking queries from one process.

    watchers.py ADDRESS OUT COUNT PATH [HEADERS...]    COUNT connections; "%d" in PATH becomes the number of the query

Each asks once with the index that PATH has now. OUT gets one line per event: "parked" when all requests were taken, then for each query that
ends "NUMBER STATUS INDEX BODY" (BODY without line feeds, its first 200 bytes) or "NUMBER closed REASON" (clean: the other side closed before any
byte of an answer; broken: anything else). Ends when all have.
"""
import http.client
import selectors
import socket
import sys

address, out_path, count, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
out = open(out_path, "w", buffering=1)


def index_of(target):
    connection = http.client.HTTPConnection(address, 8500, timeout=60)
    connection.request("GET", target)
    reply = connection.getresponse()
    reply.read()
    return reply.getheader("X-Consul-Index")


class Query:
    def __init__(self, number, target, index):
        self.number, self.data = number, b""
        self.socket = socket.create_connection((address, 8500), timeout=60)
        join = "&" if "?" in target else "?"
        self.socket.sendall(f"GET {target}{join}index={index}&wait=10m HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.socket.setblocking(False)

    def take(self):
        """Reads what there is; a text when the query has ended."""
        try:
            piece = self.socket.recv(65536)
        except BlockingIOError:
            return None
        except OSError as e:
            return f"closed broken {e}"
        if not piece:
            return "closed broken in an answer" if self.data else "closed clean"
        self.data += piece
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end:
            return None
        lines = head.decode("latin-1").split("\r\n")
        fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        if len(body) < int(fields.get("content-length", "0")):
            return None
        text = body.decode("utf-8", "replace").replace("\n", " ")[:200]
        return f"{lines[0].split()[1]} {fields.get('x-consul-index', '-')} {text}"


one_index = None if "%d" in path else index_of(path)
selector = selectors.DefaultSelector()
for i in range(count):
    target = path % i if "%d" in path else path
    q = Query(i, target, one_index or index_of(target))
    selector.register(q.socket, selectors.EVENT_READ, q)
print("parked", file=out)
left = count
while left:
    for key, _ in selector.select():
        text = key.data.take()
        if text is not None:
            print(key.data.number, text, file=out)
            selector.unregister(key.fileobj)
            key.fileobj.close()
            left -= 1
