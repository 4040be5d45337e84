#!/usr/bin/env python3
"""A service under check: answers GET /health with the status that stands in a file (default 200).

    web.py ADDRESS PORT STATUSFILE
"""
import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status = int(open(sys.argv[3]).read())
        except (OSError, ValueError):
            status = 200
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
