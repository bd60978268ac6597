#!/usr/bin/env python3
"""The demo's world: azure-sim with the estate of examples/, the controller with its embedded
control plane, and a kubeconfig with four people in it.

    world.py up      start it in build/up and leave it running
    world.py down    stop it
"""

import ctypes
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# For tests: another build's programs, and ports that are free rather than well known.
BUILD = Path(os.environ.get("SALLYPORT_BUILD", ROOT / "build"))
FREE_PORTS = "SALLYPORT_FREE_PORTS" in os.environ
# How many times longer programs may take that a sanitizer slows down. What is claimed stays.
PATIENCE = float(os.environ.get("SALLYPORT_PATIENCE", 1))
BIN = BUILD / "bin"
KUBECTL = ROOT / "build/tools/bin/kubectl"
REPORTS = "sanitizer"  # the thread sanitizer adds the number of the process


def address(port):
    if FREE_PORTS:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    return ("127.0.0.1", port)


AZURE = address(10443)
API = address(18443)
METRICS = address(8081)

# Who is who, as the token file of the control plane has it. Roles are bound to groups.
PEOPLE = {
    "admin": ["system:masters"],
    "alice": ["sallyport:requesters", "payments-oncall"],
    "bob": ["sallyport:approvers", "payments-leads"],
    "carol": ["sallyport:auditors"],
}


class Trouble(Exception):
    """Something a person can act on; shown without a stack."""


def until(ask, seconds, what):
    """The first true answer of `ask`, or Trouble after so many seconds."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Trouble(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def is_free(address):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            return True
        except OSError:
            return False


def die_with_parent():
    """Asks the kernel to end this child when the demo dies, however it dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class World:
    """Both processes and all of their files, in one folder that starts empty."""

    def __init__(self, folder, stays=False):
        self.folder = folder
        self.stays = stays
        self.processes = {}
        self.kubeconfig = folder / "kubeconfig"

    def start(self):
        for program in ("azure-sim", "sallyport-controller"):
            if not (BIN / program).exists():
                raise Trouble(f"build/bin/{program} is missing; `make demo` and `make up` build it")
        taken = [
            f"{host}:{port}" for host, port in (AZURE, API, METRICS) if not is_free((host, port))
        ]
        if taken:
            raise Trouble(
                f"{', '.join(taken)} in use; if it is the world of `make up`, "
                "`make down` stops it"
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        shutil.copy(ROOT / "examples/estate.yaml", self.folder / "estate.yaml")
        self.start_azure()
        self.write_tokens()
        self.start_controller()
        self.write_kubeconfig()

    def start_azure(self):
        self.run(
            "azure-sim",
            [
                "--listen",
                "%s:%d" % AZURE,
                "--estate",
                self.folder / "estate.yaml",
                "--data-dir",
                self.folder / "azure",
                "--traffic",
                self.folder / "traffic.jsonl",
            ],
        )
        shutil.copy(self.folder / "azure/ca.pem", self.folder / "azure-ca.pem")

    def start_controller(self):
        self.run(
            "sallyport-controller",
            [
                "--embedded",
                "--listen",
                "%s:%d" % API,
                "--metrics-listen",
                "%s:%d" % METRICS,
                "--data-dir",
                self.folder / "sallyport",
                "--token-file",
                self.folder / "tokens.csv",
                "--allow-custom-endpoint",
                AZURE[0],
            ],
        )

    def run(self, program, arguments):
        """Starts a program and waits for its line `… ready <url>`."""
        log = self.folder / f"{program}.log"
        before = log.stat().st_size if log.exists() else 0
        with open(log, "ab") as out:
            self.processes[program] = subprocess.Popen(
                [BIN / program, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "TSAN_OPTIONS": self.thread_sanitizer_options()},
                start_new_session=True,
                preexec_fn=None if self.stays else die_with_parent,
            )
        process = self.processes[program]
        (self.folder / f"{program}.pid").write_text(f"{process.pid}\n")

        def ready():
            with open(log, "rb") as text:
                text.seek(before)
                found = re.search(rb"^.* ready (https?://\S+)$", text.read(), re.MULTILINE)
            if not found and process.poll() is not None:
                tail = log.read_text(errors="replace").strip().splitlines()[-5:]
                raise Trouble(f"{program} ended with {process.returncode}:\n" + "\n".join(tail))
            return found

        until(ready, 20, f"{program} ready")

    def thread_sanitizer_options(self):
        """For programs of build/tsan: what it reports goes to files, and so is seen of a process
        as well that was killed and has no exit code of its own."""
        given = os.environ.get("TSAN_OPTIONS", "")
        return f"{given}:log_path={self.folder}/{REPORTS}".lstrip(":")

    def reports(self):
        """What a sanitizer said of any process, the killed ones too."""
        for path in sorted(self.folder.glob(f"{REPORTS}.*")):
            yield f"a sanitizer's report, {path}:\n{path.read_text(errors='replace')[:2000]}"

    def write_tokens(self):
        self.tokens = {name: secrets.token_hex(16) for name in PEOPLE}
        path = self.folder / "tokens.csv"
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
            for name, groups in PEOPLE.items():
                out.write(f'{self.tokens[name]},{name},{name},"{",".join(groups)}"\n')

    def write_kubeconfig(self):
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "admin",
            "preferences": {},
            "clusters": [
                {
                    "name": "sallyport",
                    "cluster": {
                        "server": "https://%s:%d" % API,
                        "certificate-authority": str(self.folder / "sallyport/ca.pem"),
                    },
                }
            ],
            "users": [
                {"name": name, "user": {"token": token}} for name, token in self.tokens.items()
            ],
            "contexts": [
                {
                    "name": name,
                    "context": {"cluster": "sallyport", "user": name, "namespace": "payments"},
                }
                for name in self.tokens
            ],
        }
        with open(os.open(self.kubeconfig, os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
            json.dump(config, out, indent=2)

    def kill_controller(self):
        """As a power cut would: no chance to say goodbye."""
        process = self.processes.pop("sallyport-controller")
        process.kill()
        process.wait()

    def stop(self):
        """Ends both; says what did not end as it should: with 0, within two seconds (more if a
        sanitizer slows it down), and without a sanitizer's report."""
        complaints = []
        begun = time.monotonic()
        for process in self.processes.values():
            process.terminate()
        for program, process in self.processes.items():
            try:
                process.wait(10 * PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            took = time.monotonic() - begun
            if process.returncode != 0 or took > 2 * PATIENCE:
                complaints.append(f"{program} ended with {process.returncode} after {took:.1f} s")
        self.processes = {}
        return complaints + list(self.reports())


def example(name):
    """The text of a file of examples/; azure-sim stands at 10443 there."""
    text = (ROOT / "examples" / f"{name}.yaml").read_text()
    return text.replace("127.0.0.1:10443", "%s:%d" % AZURE)


class Kubectl:
    """The real kubectl, as one of the people."""

    def __init__(self, world, who="admin"):
        self.world = world
        self.who = who

    def run(self, *arguments, stdin=None):
        # A home of its own: kubectl keeps what it discovered there, and ports are used again.
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.world.kubeconfig),
            "KUBECACHEDIR": str(self.world.folder / "kubectl-cache"),
        }
        return subprocess.run(
            [KUBECTL, "--context", self.who, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )

    def __call__(self, *arguments, stdin=None):
        done = self.run(*arguments, stdin=stdin)
        if done.returncode != 0:
            raise Trouble(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout.strip()

    def apply(self, name):
        return self("apply", "-f", "-", stdin=example(name))

    def get(self, kind, name, namespace="payments"):
        """The object, or None."""
        done = self.run("get", kind, name, "-n", namespace, "-o", "json")
        if done.returncode != 0:
            if "NotFound" in done.stderr:
                return None
            raise Trouble(f"kubectl get {kind} {name}: {done.stderr.strip()}")
        return json.loads(done.stdout)


class Azure:
    """azure-sim as seen by somebody who signs in with a client secret; and its judge."""

    def __init__(self, world, tenant, client, secret):
        self.trust = ssl.create_default_context(cafile=world.folder / "azure-ca.pem")
        self.url = "https://%s:%d" % AZURE
        form = urllib.parse.urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": client,
                "client_secret": secret,
                "scope": f"{self.url}/.default",
            }
        )
        answer = self.send(
            "POST",
            f"/{tenant}/oauth2/v2.0/token",
            form.encode(),
            "application/x-www-form-urlencoded",
        )
        self.token = answer["access_token"]

    def send(self, method, path, body=None, content_type="application/json"):
        request = urllib.request.Request(
            self.url + path, body, {"Content-Type": content_type}, method=method
        )
        if hasattr(self, "token"):
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, context=self.trust, timeout=20) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise Trouble(f"{method} {path}: {error.code} {error.read().decode()[:300]}") from None

    def reach(self, source, vm, port=22):
        query = urllib.parse.urlencode(
            {"source": source, "vm": vm, "port": port, "protocol": "Tcp"}
        )
        return self.send("GET", f"/_sim/reach?{query}")

    def state(self):
        return self.send("GET", "/_sim/state")

    def put_rule(self, rule_id, properties):
        self.send(
            "PUT",
            f"{rule_id}?api-version=2024-01-01",
            json.dumps({"properties": properties}).encode(),
        )

    def delete_rule(self, rule_id):
        self.send("DELETE", f"{rule_id}?api-version=2024-01-01")


def prepare(world):
    """What an account needs: namespaces, the client secret, the CA to trust."""
    admin = Kubectl(world)
    admin.apply("namespaces")
    admin.apply("account-secret")
    admin(
        "apply",
        "-f",
        "-",
        stdin=json.dumps(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "azure-ca", "namespace": "sallyport-system"},
                "data": {"ca.pem": (world.folder / "azure-ca.pem").read_text()},
            }
        ),
    )


def up():
    world = World(ROOT / "build/up", stays=True)
    try:
        world.start()
        prepare(world)
    except BaseException:
        world.stop()
        raise
    print(
        f"""azure-sim              https://{AZURE[0]}:{AZURE[1]}   (trust build/up/azure-ca.pem)
sallyport-controller   https://{API[0]}:{API[1]}   (metrics on http://{METRICS[0]}:{METRICS[1]})

    export KUBECONFIG=build/up/kubeconfig     # contexts: {', '.join(PEOPLE)}
    kubectl apply -f examples/account.yaml -f examples/policy-web-ssh.yaml
    kubectl --context alice apply -f examples/grant-alice-web01.yaml
    kubectl get sallyport -A

kubectl is build/tools/bin/kubectl too. `make down` stops both."""
    )


def program_of(pid):
    """What a process runs; empty once it has ended, also while nobody has collected it."""
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        return ""


def is_of(folder, pid, program):
    """Whether the process is this program and was started for this world, by whichever build: the
    number may be a stranger's by now. By the name it was called by: what it runs has another name
    once a linker has put a newer build in its place."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return False
    return Path(words[0]).name == program and any(str(folder) + "/" in word for word in words)


def down(folder=ROOT / "build/up"):
    """Ends what `up` left running, and only that."""
    stopped = 0
    for path in sorted(folder.glob("*.pid"), reverse=True):
        pid = int(path.read_text())
        if is_of(folder, pid, path.stem):
            os.kill(pid, signal.SIGTERM)
            try:
                until(lambda: not program_of(pid), 5, f"end of {path.stem}")
            except Trouble:
                os.kill(pid, signal.SIGKILL)
            stopped += 1
        path.unlink()
    print("stopped" if stopped else "nothing was running")


def main():
    commands = {"up": up, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    try:
        commands[sys.argv[1]]()
    except Trouble as trouble:
        sys.exit(f"{sys.argv[1]}: {trouble}")


if __name__ == "__main__":
    main()
