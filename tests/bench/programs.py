"""The programs a benchmark runs, and a client of the embedded API."""

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path


def share(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Program:
    def __init__(self, binary, arguments, log, nice=0):
        self.log = log
        begun = time.monotonic()
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                ["nice", "-n", str(nice), binary, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.url = self.wait_for_line()
        self.started_in = time.monotonic() - begun

    def wait_for_line(self):
        for _ in range(6000):
            with open(self.log, "rb") as text:
                found = re.search(rb"^.* ready https?://(\S+)$", text.read(65536), re.MULTILINE)
            if found:
                return found[1].decode()
            if self.process.poll() is not None:
                sys.exit(f"{self.log}: ended with {self.process.returncode}")
            time.sleep(0.01)
        sys.exit(f"{self.log}: not ready within 60 s")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait()


class Api:
    """The embedded API, over a kept connection for each thread."""

    def __init__(self, address, ca, token):
        self.address = address
        self.trust = ssl.create_default_context(cafile=ca)
        self.token = token
        self.kept = threading.local()

    def __call__(self, method, path, body=None):
        if not getattr(self.kept, "connection", None):
            self.kept.connection = http.client.HTTPSConnection(
                self.address, context=self.trust, timeout=120
            )
        self.kept.connection.request(
            method,
            path,
            json.dumps(body) if body else None,
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        answer = self.kept.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text.decode()[:500]}")
        return json.loads(text)
