# A collector as they stand in the field: a small web server that takes JSON by POST. It writes every request into a file, one a
# line, and refuses the first of each kind (status 503), so that it must be sent again.
#
#   collector.py ADDRESS PORT FILE

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

refused = set()


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = json.loads(body)
        with open(sys.argv[3], "a") as file:
            file.write(json.dumps({"path": self.path, "type": self.headers["Content-Type"], "message": message}) + "\n")
        first = message["type"] not in refused
        refused.add(message["type"])
        self.send_response(503 if first else 201)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


HTTPServer((sys.argv[1], int(sys.argv[2])), Collector).serve_forever()
