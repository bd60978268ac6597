#!/usr/bin/env python3
"""Breaks what can be broken around the real programs: wrong input, a wrong secret, kill -9, a full
disk, a data directory that goes away, a damaged store. Each time: a clear message, nothing lost,
nothing open. What is open is azure-sim's judge's word, which shares no code with the controller.

    breaks.py PRELOAD     the library that plays a full disk
"""

import contextlib
import datetime
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from world import API, BIN, BUILD, Azure, Kubectl, Trouble, World, example, until

TENANT = "11111111-1111-1111-1111-111111111111"
SABOTEUR = ("44444444-4444-4444-4444-444444444444", "terraform-secret")
ALICE, LATE, NEVER = "198.51.100.7", "198.51.100.9", "198.51.100.11"
GRANTS = "/apis/sallyport.dev/v1alpha1/namespaces/payments/accessgrants"


class BreakableWorld(World):
    """With a disk that is full while a file exists."""

    def __init__(self, folder, preload):
        super().__init__(folder)
        self.preload = preload
        self.flag = folder / "disk-is-full"

    def start_controller(self):
        changes = {
            "LD_PRELOAD": self.preload,
            "FULL_DISK": str(self.flag),
            "FULL_DISK_UNDER": str(self.folder / "sallyport"),
        }
        os.environ.update(changes)
        try:
            super().start_controller()
        finally:
            for name in changes:
                del os.environ[name]


class Breaks:
    def __init__(self, world):
        self.world = world
        self.admin = Kubectl(world, "admin")
        self.alice = Kubectl(world, "alice")
        self.azure = Azure(world, TENANT, *SABOTEUR)
        self.failed = 0
        self.begun = time.monotonic()

    def check(self, claim, agree, found=""):
        self.failed += not agree
        took = time.monotonic() - self.begun
        print(f"  {'ok' if agree else 'NO'} {took:5.1f}s {claim}", flush=True)
        if not agree or "VERBOSE" in os.environ:
            print(f"        {found}", flush=True)

    def says(self, claim, text, *parts):
        self.check(claim, all(part in text for part in parts), f"{text!r} wants {parts}")

    def reaches(self, source):
        return self.azure.reach(source, "web01")["reachable"]

    def rules(self):
        """Names of our rules for grants; lockdowns stay."""
        text = json.dumps(self.azure.state())
        return text.count("grant=")

    def condition(self, who, kind, name, condition="Ready"):
        thing = who.get(kind, name) or {}
        for one in thing.get("status", {}).get("conditions", []):
            if one["type"] == condition:
                return one
        return {"status": "", "reason": "", "message": ""}

    def becomes(self, kind, name, reason, seconds=25):
        until(
            lambda: self.condition(self.admin, kind, name)["reason"] == reason,
            seconds,
            f"{kind} {name} {reason}",
        )
        return self.condition(self.admin, kind, name)["message"]

    def grant(self, name, source, **changes):
        spec = {
            "policyRef": {"name": "web-ssh"},
            "network": {
                "virtualMachines": ["web01"],
                "ports": [{"port": 22}],
                "sources": [source if "/" in source or source == "*" else f"{source}/32"],
            },
            "duration": "10s",
            "justification": "break",
            **changes,
        }
        return {
            "apiVersion": "sallyport.dev/v1alpha1",
            "kind": "AccessGrant",
            "metadata": {"name": name, "namespace": "payments"},
            "spec": spec,
        }

    def try_apply(self, thing, who=None):
        text = thing if isinstance(thing, str) else json.dumps(thing)
        return (who or self.alice).run("apply", "-f", "-", stdin=text)

    def apply(self, thing, who=None):
        done = self.try_apply(thing, who)
        if done.returncode != 0:
            raise Trouble(done.stderr)

    def post(self, body, content_type="application/json"):
        """Past kubectl, which keeps the last of two equal keys and says nothing."""
        trust = ssl.create_default_context(cafile=self.world.folder / "sallyport/ca.pem")
        request = urllib.request.Request(
            "https://%s:%d%s?fieldValidation=Strict" % (*API, GRANTS),
            body.encode(),
            {
                "Content-Type": content_type,
                "Authorization": "Bearer " + self.world.tokens["alice"],
            },
        )
        try:
            with urllib.request.urlopen(request, context=trust, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    # ---- the breaks

    def wrong_secret(self):
        print("The account's secret is missing, then wrong, then right")
        self.admin.apply("namespaces")
        self.apply(example("account"), self.admin)
        message = self.becomes("cloudaccount", "prod", "SecretNotFound")
        self.says(
            "a missing Secret is named with its key and field",
            message,
            "Secret sallyport-system/azure-prod",
            "clientSecret",
            "secretRef",
            "create it",
        )
        secret = example("account-secret")
        self.apply(secret.replace("sallyport-secret", "no-such-secret"), self.admin)
        message = self.becomes("cloudaccount", "prod", "CaBundleNotFound")
        self.says("a missing ConfigMap likewise", message, "sallyport-system/azure-ca", "ca.pem")
        roots = (self.world.folder / "azure-ca.pem").read_text()
        bundle = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "azure-ca", "namespace": "sallyport-system"},
            "data": {"ca.pem": roots},
        }
        self.apply(bundle, self.admin)
        message = self.becomes("cloudaccount", "prod", "SignInRefused")
        self.says(
            "a wrong client secret is told with Entra's code and what to do",
            message,
            "AADSTS7000215",
            "Kubernetes Secret azure-prod",
        )
        log = (self.world.folder / "sallyport-controller.log").read_text()
        self.check("and is in no log and no status", "no-such-secret" not in message + log)
        self.admin("replace", "-f", "-", stdin=secret)
        self.becomes("cloudaccount", "prod", "Swept")
        self.check("the right one is taken without a restart", True)

    def wrong_input(self):
        print("Wrong input is refused with field, value, limit and remedy")
        done = self.alice.run("--token", "no-such-token", "get", "accessgrants")
        self.says("a wrong token", done.stderr, "Unauthorized")
        self.apply(self.grant("no-policy", ALICE))
        message = self.becomes("accessgrant", "no-policy", "PolicyNotFound")
        self.says("a missing policy", message, "there is no JitPolicy web-ssh", "payments")
        self.alice("delete", "accessgrant", "no-policy")

        policy = example("policy-web-ssh")
        done = self.try_apply(policy.replace("port: 22", "port: 70000"), self.admin)
        self.says("70000 as a port", done.stderr, "ports[0].port", "70000", "65535")
        self.apply(policy.replace("port: 22", 'port: "22-70000"'), self.admin)
        message = self.becomes("jitpolicy", "web-ssh", "SpecInvalid")
        self.says("22-70000 as ports", message, "spec.network.ports[0].port", "22-70000", "65535")
        self.apply(policy, self.admin)
        self.becomes("jitpolicy", "web-ssh", "Ready")

        done = self.try_apply(self.grant("a", ALICE, sorces=["x"]))
        self.says("an unknown field", done.stderr, 'unknown field "spec.sorces"')
        body = json.dumps(self.grant("a", ALICE))
        status, answer = self.post(body.replace('"duration"', '"duration": "8h", "duration"'))
        self.check("a key given twice, in JSON", status == 400 and "duplicate field" in answer)
        self.says("  with its path", answer, "spec.duration")
        status, answer = self.post("a: 1\na: 2\n", "application/yaml")
        self.check("YAML is turned into JSON by the client, or not taken", status == 415, answer)
        done = self.try_apply(self.grant("a", "*"))
        self.says("a wildcard", done.stderr, "spec.network.sources[0]", '"*"', "wildcards")
        for name, source, reason, parts in (
            ("wide", "198.51.100.0/24", "SourceTooWide", ("/28", "sources.widest")),
            ("all", "::/0", "SourceWildcard", ("::/0", "such as")),
            ("elsewhere", "203.0.113.9/32", "SourceNotAllowed", ("198.51.100.0/22", "within")),
        ):
            self.apply(self.grant(name, source))
            message = self.becomes("accessgrant", name, reason)
            self.says(f"a source of {source}", message, "spec.network.sources[0]", source, *parts)
        self.check("and nothing is open", self.rules() == 0 and not self.reaches(ALICE))

    def kill_and_fill(self):
        print("kill -9 while a grant opens, and a disk that is full at its end")
        self.apply(self.grant("alice", ALICE, duration="15s"))
        until(lambda: self.rules() > 0, 10, "the first rule")
        self.world.kill_controller()
        self.world.start_controller()
        message = self.becomes("accessgrant", "alice", "Open")
        end = self.alice.get("accessgrant", "alice")["status"]["expirationTime"]
        self.check("the next process finds it open, or opens it", self.reaches(ALICE), message)
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=8)
        begin = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.apply(self.grant("late", LATE, duration="5m", notBefore=begin))
        self.world.flag.touch()
        done = self.try_apply(self.grant("never", NEVER))
        self.says("a full disk is told to whoever writes", done.stderr, "disk", "full", "nothing")
        ready = self.admin.run("get", "--raw", "/readyz").stderr
        self.says("and to whoever asks /readyz", ready, "nothing can be written", "disk", "full")
        closed_by = datetime.datetime.fromisoformat(end.replace("Z", "+00:00")).timestamp() + 30
        until(lambda: not self.reaches(ALICE), closed_by - time.time(), "closed")
        self.check("with a full disk the end is kept", self.rules() == 0)
        until(lambda: time.time() > soon.timestamp() + 2, 20, "the other's beginning")
        self.check("and nothing opens", not self.reaches(LATE) and not self.reaches(NEVER))
        self.world.flag.unlink()
        message = self.becomes("accessgrant", "alice", "Expired", 40)
        self.check("with room again its end is written down", True, message)
        self.becomes("accessgrant", "late", "Open", 40)
        self.check("and what was asked for opens", self.reaches(LATE))

    def directory_moves(self):
        print("The data directory is moved away under the running program")
        data, away = self.world.folder / "sallyport", self.world.folder / "away"
        text = self.world.kubeconfig.read_text()
        shutil.copy(data / "ca.pem", self.world.folder / "kept-ca.pem")
        text = text.replace(f"{data}/ca.pem", f"{data.parent}/kept-ca.pem")
        self.world.kubeconfig.write_text(text)
        data.rename(away)
        done = self.try_apply(self.grant("lost", NEVER))
        self.says("what would be lost is refused", done.stderr, "nothing was written", str(data))
        away.rename(data)
        self.alice("delete", "accessgrant", "late", "--wait=false")
        until(lambda: not self.reaches(LATE), 20, "closed")
        self.check("put back, it goes on, and closes", True)

    def damaged_store(self):
        print("The store is damaged while the program is down")
        complaints = self.world.stop()
        self.check("both programs end as they should", not complaints, complaints)
        data, good = self.world.folder / "sallyport", self.world.folder / "good"
        store = data / "control-plane.db"
        shutil.copytree(data, good)
        size = store.stat().st_size

        def cut(to):
            os.truncate(store, to)

        def overwrite():
            with open(store, "r+b") as file:
                file.seek(size // 2)
                file.write(b"\xff" * 5000)

        for what, damage in (
            ("cut in half", lambda: cut(size // 2)),
            ("overwritten in the middle", overwrite),
            ("no database at all", lambda: store.write_text("hello\n" * 2000)),
            ("emptied", lambda: cut(0)),
            ("deleted", store.unlink),
        ):
            damage()
            before = store.read_bytes() if store.exists() else b""
            code, error = self.start_refused()
            self.check(f"{what}: refused, in one line", code == 1 and error.count("\n") <= 2, error)
            self.says("  with the file and what to do", error, str(store), "backup", "by hand")
            self.check("  and left as it is", not before or store.read_bytes() == before)
            shutil.rmtree(data)
            shutil.copytree(good, data)
        self.world.start_azure()
        self.world.start_controller()
        found = self.admin.get("accessgrant", "alice")
        self.check("the backup put back: all is there", bool(found) and found["status"]["closedAt"])

    def start_refused(self):
        """The controller where it should not start: its exit code, and what it says."""
        data = self.world.folder / "sallyport"
        done = subprocess.run(
            [
                BIN / "sallyport-controller",
                "--embedded",
                "--listen=127.0.0.1:0",
                "--metrics-listen=127.0.0.1:0",
                f"--data-dir={data}",
                f"--token-file={self.world.folder / 'tokens.csv'}",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return done.returncode, done.stderr

    def run(self):
        self.wrong_secret()
        self.wrong_input()
        self.kill_and_fill()
        self.directory_moves()
        self.damaged_store()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    world = BreakableWorld(BUILD / "breaks", sys.argv[1])
    breaks = None
    try:
        world.start()
        breaks = Breaks(world)
        breaks.run()
    except (Trouble, subprocess.TimeoutExpired) as trouble:
        log = world.folder / "sallyport-controller.log"
        with contextlib.suppress(OSError):
            print("\n".join(log.read_text(errors="replace").splitlines()[-12:]))
        print(f"NO  {trouble}")
        return 1
    finally:
        world.stop()
    print(f"{breaks.failed} failed")
    return 1 if breaks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
