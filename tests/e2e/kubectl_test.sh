#!/bin/bash
# A real kubectl against the embedded control plane: every command of the table that
# docs/control-plane.md shows, with the words a user of a cluster expects.
# Usage: kubectl_test.sh APISERVER KUBECTL
set -u
apiserver=$1
kubectl_program=$2
command -v "$kubectl_program" > /dev/null || { echo "kubectl is not installed"; exit 77; }
dir=$(mktemp -d)
failures=0
server=

finish() {
    [ -n "$server" ] && kill "$server" 2> /dev/null && wait "$server" 2> /dev/null
    rm -rf "$dir"
}
trap finish EXIT

cat > "$dir/tokens.csv" << 'TOKENS'
t-admin,admin,u-1,"sallyport:admins"
t-alice,alice,u-2,"sallyport:requesters,payments-oncall"
t-carol,carol,u-4,"sallyport:auditors"
t-controller,system:serviceaccount:sallyport-system:sallyport-controller,u-6
TOKENS
chmod 600 "$dir/tokens.csv"

start() {
    "$apiserver" "$dir/data" "$dir/tokens.csv" > "$dir/out" 2> "$dir/err" &
    server=$!
    for _ in $(seq 200); do
        grep -q ready "$dir/out" && break
        kill -0 "$server" 2> /dev/null || { cat "$dir/err"; exit 1; }
        read -r -t 0.05 < <(:) || true
    done
    url=$(awk '/ready/ {print $NF}' "$dir/out")
    for user in admin alice carol controller; do
        cat > "$dir/$user.config" << CONFIG
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "$url", certificate-authority: "$dir/data/ca.pem"}}]
users: [{name: u, user: {token: t-$user}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: payments}}]
CONFIG
    done
}

# as USER COMMAND…: kubectl with that user's kubeconfig and a cache of its own.
as() {
    local user=$1
    shift
    "$kubectl_program" --kubeconfig "$dir/$user.config" --cache-dir "$dir/cache" "$@"
}

# expect NAME STATUS PATTERN COMMAND…: exit status and output (both streams) of a command.
expect() {
    local name=$1 status=$2 pattern=$3 actual
    shift 3
    output=$("$@" 2>&1)
    actual=$?
    if [ "$actual" -eq "$status" ] && grep -qE -- "$pattern" <<< "$output"; then
        echo "ok    $name"
    else
        failures=$((failures + 1))
        printf 'FAIL  %s: exit %s (wanted %s), wanted /%s/, got:\n%s\n' \
            "$name" "$actual" "$status" "$pattern" "$output"
    fi
}

write_files() {
    cat > "$dir/ns.yaml" << 'YAML'
apiVersion: v1
kind: Namespace
metadata: {name: payments}
YAML
    cat > "$dir/policy.yaml" << 'YAML'
apiVersion: sallyport.dev/v1alpha1
kind: JitPolicy
metadata: {name: web-ssh, namespace: payments}
spec:
  accountRef: {name: prod}
  network:
    targets: [{virtualMachine: {resourceGroup: rg-web, name: web01}}]
    ports: [{port: 22, maxDuration: 3h}, {port: "8000-8010"}]
    sources: {within: [198.51.100.0/22], widest: {ipv4: 28, ipv6: 64}}
  request:
    allowed: {groups: [payments-oncall]}
YAML
    cat > "$dir/account.yaml" << 'YAML'
apiVersion: sallyport.dev/v1alpha1
kind: CloudAccount
metadata: {name: prod}
spec:
  azure:
    tenantId: 11111111-1111-1111-1111-111111111111
    subscriptionId: 22222222-2222-2222-2222-222222222222
    identity:
      clientSecret: {clientId: 33333333-3333-3333-3333-333333333333, secretRef: {name: azure}}
  tenants:
  - namespaces: {names: [payments]}
    scopes: [resourceGroups/rg-web]
YAML
    cat > "$dir/grant.yaml" << 'YAML'
apiVersion: sallyport.dev/v1alpha1
kind: AccessGrant
metadata: {name: t1, namespace: payments}
spec:
  policyRef: {name: web-ssh}
  network: {sources: [198.51.100.7/32]}
  notAfter: "2026-12-01T00:00:00Z"
  justification: restart of the payment worker
YAML
    sed 's/2026-12-01/2026-11-30/' "$dir/grant.yaml" > "$dir/earlier.yaml"
    sed 's/2026-12-01/2026-12-02/' "$dir/grant.yaml" > "$dir/later.yaml"
    sed 's/justification/justifcation/' "$dir/grant.yaml" > "$dir/typo.yaml"
    sed 's/name: t1/name: t2/' "$dir/typo.yaml" > "$dir/typo2.yaml"
    sed 's#198.51.100.7/32#"*"#; s/name: t1/name: t2/' "$dir/grant.yaml" > "$dir/wildcard.yaml"
    sed -e "s/name: t1/name: t2/" -e 's#/32]}#/32], ports: [{port: 70000}]}#' \
        "$dir/grant.yaml" > "$dir/port.yaml"
    cat > "$dir/secret.yaml" << 'YAML'
apiVersion: v1
kind: Secret
metadata: {name: s1, namespace: payments}
stringData: {a: b}
YAML
    cat > "$dir/configmap.yaml" << 'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: c1, namespace: payments}
data: {a: b, c: d}
YAML
    cat > "$dir/open.yaml" << 'YAML'
status:
  observedGeneration: 99
  phase: Open
  conditions:
  - type: Active
    status: "True"
    reason: Open
    message: open
    lastTransitionTime: "2026-11-21T09:00:00Z"
YAML
}

discovery() {
    expect "version" 0 'Server Version: v1\.36' as admin version
    expect "api-resources" 0 'accessgrants +ag +sallyport.dev/v1alpha1 +true +AccessGrant' \
        as admin api-resources
    expect "api-resources of a category" 0 'cloudaccounts' \
        as admin api-resources --categories=sallyport
    expect "api-versions" 0 '^sallyport.dev/v1alpha1$' as admin api-versions
    expect "readyz" 0 '^ok$' as admin get --raw /readyz
    expect "a wrong token" 1 'Unauthorized|logged in' as admin --token=wrong get ag
    expect "explain a field" 0 'Absolute end, RFC 3339' as admin explain ag.spec.notAfter
    expect "explain a kind" 0 'KIND: +AccessGrant' as admin explain ag --recursive
    expect "explain a built-in" 0 'stringData' as admin explain secret
    expect "explain metadata" 0 'finalizers' as admin explain jitpolicy.metadata
}

objects() {
    expect "apply a namespace" 0 'namespace/payments created' as admin apply -f "$dir/ns.yaml"
    expect "apply an account" 0 'cloudaccount.sallyport.dev/prod created' \
        as admin apply -f "$dir/account.yaml"
    expect "apply a policy" 0 'jitpolicy.sallyport.dev/web-ssh created' \
        as admin apply -f "$dir/policy.yaml"
    # As on a cluster: the ports have defaults in a list, so kubectl sends them again; nothing
    # changes.
    local version
    version=$(as admin get jp web-ssh -o 'jsonpath={.metadata.resourceVersion}')
    expect "apply a policy again" 0 'jitpolicy.sallyport.dev/web-ssh configured' \
        as admin apply -f "$dir/policy.yaml"
    expect "it has not changed" 0 "^$version\$" \
        as admin get jp web-ssh -o 'jsonpath={.metadata.resourceVersion}'
    expect "dry run of a create" 0 'accessgrant.sallyport.dev/t1 created \(server dry run\)' \
        as alice apply --dry-run=server -f "$dir/grant.yaml"
    expect "nothing was written by it" 1 'accessgrants.sallyport.dev "t1" not found' \
        as alice get ag t1
    expect "apply a grant" 0 'accessgrant.sallyport.dev/t1 created' \
        as alice apply -f "$dir/grant.yaml"
    expect "apply a grant again" 0 'accessgrant.sallyport.dev/t1 unchanged' \
        as alice apply -f "$dir/grant.yaml"
    expect "apply an equal grant as another user" 0 't1 unchanged' \
        as admin apply -f "$dir/grant.yaml"
    expect "create again" 1 '\(AlreadyExists\): error when creating .*: .* "t1" already exists' \
        as admin create -f "$dir/grant.yaml"
    expect "a secret from text" 0 'secret/s1 created' as admin apply -f "$dir/secret.yaml"
    expect "its data is base64" 0 '^Yg==$' as admin get secret s1 -o 'jsonpath={.data.a}'
    expect "a config map" 0 'configmap/c1 created' as admin apply -f "$dir/configmap.yaml"
    expect "a config map again" 0 'configmap/c1 unchanged' as admin apply -f "$dir/configmap.yaml"
}

reading() {
    expect "get" 0 'NAME +STATE +ACTIVE +REQUESTER +POLICY +ENDS +AGE' as alice get ag
    expect "get wide, all namespaces" 0 'NAMESPACE +NAME .*AGE +MESSAGE' as admin get ag -A -o wide
    expect "get as yaml" 0 'kind: AccessGrant' as alice get ag t1 -o yaml
    expect "get as json" 0 '"kind": "AccessGrant"' as alice get ag t1 -o json
    expect "get as name" 0 '^accessgrant.sallyport.dev/t1$' as alice get ag -o name
    expect "get by category" 0 'accessgrant.sallyport.dev/t1' as admin get sallyport
    expect "get by full name" 0 't1' as alice get accessgrants.v1alpha1.sallyport.dev
    expect "get by labels" 0 'No resources found in payments namespace' as alice get ag -l a=b
    expect "get by fields" 0 't1' as alice get ag --field-selector spec.policyRef.name=web-ssh
    expect "get by a field that is not offered" 1 'field label not supported: spec.ticket' \
        as alice get ag --field-selector spec.ticket=x
    expect "get sorted by a field of the status" 0 'NAME +STATE' \
        as alice get ag --sort-by '.spec.notAfter'
    expect "get in pages" 0 'sallyport-system' as admin get ns --chunk-size=1
    expect "get namespaces" 0 'payments +Active' as admin get ns
    expect "get secrets" 0 's1 +Opaque +1' as admin get secret
    expect "get config maps" 0 'c1 +2' as admin get cm
    expect "describe" 0 'Kind: +AccessGrant' as alice describe ag t1
    expect "describe a namespace" 0 'Status: +Active' as admin describe ns payments
    expect "describe a secret" 0 'a: +1 bytes' as admin describe secret s1
    expect "get status" 0 't1' as admin get ag t1 --subresource=status
    expect "no such kind" 1 "the server doesn't have a resource type \"pods\"" as admin get pods
    expect "forbidden" 1 \
        'User "alice" cannot list resource "accessrecords" in API group "sallyport.dev"' \
        as alice get ar -n sallyport-system
}

changing() {
    expect "dry run of a change" 0 't1 configured \(server dry run\)' \
        as admin apply --dry-run=server -f "$dir/earlier.yaml"
    expect "diff" 1 '\+ +notAfter: "2026-11-30' as admin diff -f "$dir/earlier.yaml"
    expect "diff of nothing" 0 '' as admin diff -f "$dir/grant.yaml"
    expect "diff of what is refused" 2 \
        'spec.notAfter: Invalid value: notAfter may only move earlier' \
        as admin diff -f "$dir/later.yaml"
    expect "apply what is refused" 1 \
        'AccessGrant "t1" is invalid: spec.notAfter: .* notAfter may only move earlier' \
        as admin apply -f "$dir/later.yaml"
    expect "apply a change" 0 't1 configured' as admin apply -f "$dir/earlier.yaml"
    expect "requesters have no patch" 1 \
        'accessgrants.sallyport.dev "t1" is forbidden: User "alice" cannot patch resource' \
        as alice label ag t1 a=b
    expect "an unknown field" 1 'strict decoding error: unknown field "spec.justifcation"' \
        as admin create -f "$dir/typo.yaml"
    expect "an unknown field as a warning" 0 'Warning: unknown field "spec.justifcation"' \
        as admin create -f "$dir/typo2.yaml" --validate=warn --dry-run=server
    expect "a wildcard source" 1 \
        'spec.network.sources\[0\]: Invalid value: "\*": must be an address range' \
        as alice apply -f "$dir/wildcard.yaml"
    expect "a port that is none" 1 \
        'spec.network.ports\[0\].port: Invalid value: 70000: .* less than or equal to 65535' \
        as alice apply -f "$dir/port.yaml"
    expect "edit" 0 't1 edited' env EDITOR="sed -i s/11-30/11-29/" "$kubectl_program" \
        --kubeconfig "$dir/admin.config" --cache-dir "$dir/cache" edit ag t1
    expect "patch, merge" 0 't1 patched' \
        as admin patch ag t1 --type merge -p '{"metadata":{"labels":{"m":"n"}}}'
    expect "patch, json" 0 't1 patched' as admin patch ag t1 --type json \
        -p '[{"op":"add","path":"/metadata/labels/x","value":"y"}]'
    expect "patch, strategic" 1 \
        'accepted media types include: application/json-patch\+json, application/merge-patch' \
        as admin patch ag t1 -p '{"metadata":{"labels":{"x":"z"}}}'
    expect "apply a secret from text again" 1 \
        'no strategic merge patch; use kubectl replace -f with the whole file' \
        as admin apply -f "$dir/secret.yaml"
    expect "what it says to do instead" 0 'secret/s1 replaced' \
        as admin replace -f "$dir/secret.yaml"
    expect "patch, json, of what is not there" 1 \
        'The request is invalid: the JSON patch does not apply: .*nope' \
        as admin patch ag t1 --type json -p '[{"op":"replace","path":"/nope/a","value":1}]'
    expect "server-side apply" 1 'server-side apply is not supported' \
        as admin apply --server-side -f "$dir/grant.yaml"
    expect "protobuf" 1 'does not read protobuf' \
        as admin create secret generic s2 --from-literal=a=b
    expect "status by the controller" 0 't1 patched' \
        as controller patch ag t1 -n payments --subresource=status \
        --type merge --patch-file "$dir/open.yaml"
    expect "status by an administrator" 1 'only the operator writes records and status' \
        as admin patch ag t1 \
        --subresource=status --type merge -p '{"status":{"phase":"Closed"}}'
    expect "the state is shown" 0 't1 +Open +True' as alice get ag
    expect "wait for a condition" 0 't1 condition met' \
        as alice wait --for=condition=Active --timeout=5s ag/t1
    expect "wait for a value" 0 't1 condition met' \
        as alice wait '--for=jsonpath={.status.phase}=Open' --timeout=5s ag/t1
    expect "wait in vain" 1 'timed out waiting for the condition on accessgrants/t1' \
        as alice wait --for=condition=Never --timeout=1s ag/t1
    expect "label" 0 't1 labeled' as admin label ag t1 a=b
    expect "label again" 0 't1 not labeled' as admin label ag t1 a=b
    expect "annotate" 0 't1 annotated' as admin annotate ag t1 a=b
    expect "get by label" 0 't1' as alice get ag -l 'a=b,m in (n,o),!z'
    as admin get ag t1 -o json | sed 's/"restart of.*"/"another"/' > "$dir/replaced.json"
    expect "replace what is immutable" 1 \
        'spec.justification: Invalid value: immutable; create a new grant' \
        as admin replace -f "$dir/replaced.json"
    as admin get jp web-ssh -o json \
        | sed 's/"resourceVersion": "[0-9]*"/"resourceVersion": "1"/' > "$dir/old.json"
    expect "replace an old version" 1 \
        'the object has been modified; please apply your changes to the latest version' \
        as admin replace -f "$dir/old.json"
    expect "impersonation" 1 'impersonation is not supported' as admin --as=alice get ag
}

watching() {
    timeout 20 "$kubectl_program" --kubeconfig "$dir/alice.config" --cache-dir "$dir/cache" \
        get ag -w -o name > "$dir/watched" 2>&1 &
    local watcher=$!
    sed 's/name: t1/name: t3/' "$dir/grant.yaml" > "$dir/third.yaml"
    for _ in $(seq 200); do
        grep -q t1 "$dir/watched" && break
        read -r -t 0.05 < <(:) || true
    done
    as alice apply -f "$dir/third.yaml" > /dev/null
    for _ in $(seq 200); do
        grep -q t3 "$dir/watched" && break
        read -r -t 0.05 < <(:) || true
    done
    kill "$watcher" 2> /dev/null
    wait "$watcher" 2> /dev/null
    expect "a watch shows a new grant" 0 'accessgrant.sallyport.dev/t3' cat "$dir/watched"
    expect "a watch as a table" 124 't1 +Open' \
        timeout 3 "$kubectl_program" --kubeconfig "$dir/alice.config" \
        --cache-dir "$dir/cache" get ag t1 -w
}

events() {
    local uid
    uid=$(as admin get ag t1 -o 'jsonpath={.metadata.uid}')
    cat > "$dir/event.yaml" << YAML
apiVersion: v1
kind: Event
metadata: {name: t1.1, namespace: payments}
involvedObject:
  {apiVersion: sallyport.dev/v1alpha1, kind: AccessGrant, name: t1, namespace: payments, uid: $uid}
reason: Opened
message: port 22 is open
type: Normal
firstTimestamp: "2026-11-21T09:00:00Z"
lastTimestamp: "2026-11-21T09:00:00Z"
count: 1
source: {component: sallyport}
YAML
    expect "an event" 0 'event/t1.1 created' as controller create -f "$dir/event.yaml"
    expect "events of a grant" 0 'Normal +Opened +AccessGrant/t1 +port 22 is open' \
        as alice events --for ag/t1
    expect "get events" 0 'Normal +Opened +accessgrant/t1 +port 22 is open' as alice get events
    expect "describe shows events" 0 'Normal +Opened +.*sallyport +port 22 is open' \
        as alice describe ag t1
}

deleting() {
    as controller patch ag t1 -n payments --type merge \
        -p '{"metadata":{"finalizers":["sallyport.dev/hold"]}}' > /dev/null
    expect "delete waits for the hold" 1 'timed out waiting for the condition on accessgrants/t1' \
        as alice delete ag t1 --timeout=1s
    expect "the hold is not for others to take" 1 \
        'finalizer sallyport.dev/hold is removed by the operator' \
        as admin patch ag t1 --type merge -p '{"metadata":{"finalizers":null}}'
    expect "the controller takes it off" 0 't1 patched' \
        as controller patch ag t1 -n payments --type merge \
        -p '{"metadata":{"finalizers":null}}'
    expect "then it is gone" 1 'NotFound' as alice get ag t1
    expect "delete" 0 'accessgrant.sallyport.dev "t3" deleted' as alice delete ag t3
    expect "delete nothing" 0 'No resources found' as alice delete ag --all
    expect "delete what is not there" 1 'accessgrants.sallyport.dev "t9" not found' \
        as alice delete ag t9
    expect "delete a namespace" 0 'namespace "payments" deleted' \
        as admin delete ns payments --timeout=10s
    expect "with all that was in it" 0 'No resources found' as admin get jp,cm,secret -n payments
    expect "the operator's namespace stays" 1 \
        'this deletes all records: .*/allow-deletion=true first' as admin delete ns sallyport-system
}

restarting() {
    local before after
    before=$(as admin get ns -o 'jsonpath={.metadata.resourceVersion} {.items[*].metadata.uid}')
    kill "$server"
    wait "$server" 2> /dev/null
    start
    after=$(as admin get ns -o 'jsonpath={.metadata.resourceVersion} {.items[*].metadata.uid}')
    expect "a restart keeps versions and objects" 0 "^$before\$" echo "$after"
    expect "a second process on the same data is refused" 1 \
        'another process uses the data directory' \
        "$apiserver" "$dir/data" "$dir/tokens.csv"
    chmod 644 "$dir/tokens.csv"
    expect "a token file that others can read is refused" 1 'chmod 600' \
        "$apiserver" "$dir/more" "$dir/tokens.csv"
}

start
write_files
for part in discovery objects reading changing watching events deleting restarting; do
    echo "# $part"
    "$part"
done
echo "failures: $failures"
[ "$failures" -eq 0 ]
