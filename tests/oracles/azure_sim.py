"""Runs azure-sim for a test: on a port of the kernel's choice, in a directory gone afterwards."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

TENANT = "11111111-1111-1111-1111-111111111111"
START_MAX_S = 60


class AzureSim:
    def __init__(self, url, directory):
        self.url = url
        self.ca = os.path.join(directory, "data", "ca.pem")
        self.traffic = os.path.join(directory, "traffic.jsonl")
        self.context = ssl.create_default_context(cafile=self.ca)
        self.token = None

    def call(self, method, path, body=None, headers=None):
        """Status, headers (lower case) and text; `path` may be an absolute URL."""
        url = path if path.startswith("https://") else self.url + path
        send = dict(headers or {})
        if self.token:
            send.setdefault("Authorization", "Bearer " + self.token)
        data = None
        if body is not None:
            send.setdefault("Content-Type", "application/json")
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        request = urllib.request.Request(url, method=method, data=data, headers=send)
        try:
            answer = urllib.request.urlopen(request, context=self.context)
        except urllib.error.HTTPError as error:
            answer = error
        with contextlib.closing(answer):
            return (
                answer.status,
                {k.lower(): v for k, v in answer.headers.items()},
                answer.read().decode(),
            )

    def sign_in(self, client, secret, tenant=TENANT):
        form = (
            "grant_type=client_credentials&client_id=%s&client_secret=%s"
            "&scope=https%%3A%%2F%%2Fmanagement.azure.com%%2F.default" % (client, secret)
        )
        status, _, text = self.call(
            "POST",
            "/%s/oauth2/v2.0/token" % tenant,
            form,
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        if status == 200:
            self.token = json.loads(text)["access_token"]
        return status, text


@contextlib.contextmanager
def azure_sim(program, *options):
    """Starts it, gives an AzureSim, ends it with SIGTERM, which must be answered with code 0."""
    with tempfile.TemporaryDirectory(prefix="azure-sim-") as directory:
        process = subprocess.Popen(
            [
                program,
                "--data-dir",
                os.path.join(directory, "data"),
                "--listen",
                "127.0.0.1:0",
                "--traffic",
                os.path.join(directory, "traffic.jsonl"),
                *options,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            line = process.stdout.readline().split()
            if line[:2] != ["azure-sim", "ready"]:
                sys.exit("azure-sim did not get ready: %r" % line)
            yield AzureSim(line[2], directory)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(START_MAX_S)
        if code != 0:
            sys.exit("azure-sim ended with %d on SIGTERM" % code)
