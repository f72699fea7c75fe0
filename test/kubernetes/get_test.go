package kubernetes

// Of test/cmd/get.sh and, where a comment says so, its neighbours; resources that
// are only read take the place of pods.

// getAssertions are about what is not there. Nothing is in the namespace NS-empty.
var getAssertions = []assertion{
	// One that does not exist, as whatever.
	{args: "get inventories abc -n NS", fail: true, err: `Error from server (NotFound): inventories.inventory.kollect.io "abc" not found`},
	{args: "get inventoryrows abc -n NS", fail: true, err: `inventoryrows.inventory.kollect.io "abc" not found`},
	{args: "get accessiblerows abc -n NS", fail: true, err: `accessiblerows.inventory.kollect.io "abc" not found`},
	{args: "get clusterinventories abc", fail: true, err: `clusterinventories.inventory.kollect.io "abc" not found`},
	{args: "get clusterinventoryrows abc", fail: true, err: `clusterinventoryrows.inventory.kollect.io "abc" not found`},
	{args: "get inventoryrows abc -n NS -o name", fail: true, err: `inventoryrows.inventory.kollect.io "abc" not found`},
	{args: "get inventoryrows abc -n NS -o json", fail: true, err: `inventoryrows.inventory.kollect.io "abc" not found`, lacks: "List"},
	{args: "get inventoryrows ROW(one) -n NS-empty", fail: true, err: `inventoryrows.inventory.kollect.io "ROW(one)" not found`},
	{args: "get inventoryrows abc -n NS --ignore-not-found", lacks: "not found | NAME"},
	{args: "get inventories apps abc -n NS --ignore-not-found", out: "NAME | apps", lacks: "not found"},

	// None, in a form for machines.
	{args: "get inventoryrows -n NS-empty -o json", out: `"items": []`, lacks: "No resources found"},
	{args: "get inventories -n NS-empty -o yaml", out: "items: []", lacks: "No resources found"},
	{args: "get inventoryrows -n NS-empty -o name", lacks: "No resources found | /"},
	{args: "get accessiblerows -n NS-empty -o jsonpath={.items}", is: "[]", lacks: "No resources found"},
	{args: "get inventories -n NS-empty -o go-template={{.items}}", is: "[]", lacks: "No resources found"},
	{args: "get inventoryrows -n NS-empty -o custom-columns=NAME:.metadata.name", is: "NAME", lacks: "No resources found"},

	// None, in a form for people.
	{args: "get foobar -n NS", fail: true, err: `error: the server doesn't have a resource type "foobar"`, lacks: "No resources found"},
	{args: "get inventoryrows -n NS-empty", err: "No resources found in NS-empty namespace."},
	{args: "get accessiblerows -n NS-empty", err: "No resources found in NS-empty namespace."},
	{args: "get inventories,inventoryrows -n NS-empty", err: "No resources found in NS-empty namespace."},
	{args: "get clusterinventoryrows -l app=none", err: "No resources found"},
	{args: "get inventoryrows -n NS-empty --ignore-not-found", lacks: "No resources found"},
	{args: "get inventoryrows -n NS-empty -o wide", err: "No resources found in NS-empty namespace."},

	// Several at once.
	{args: "get inv/apps invrow/ROW(one) cinv/NS -n NS -o name", is: "inventory.inventory.kollect.io/apps\ninventoryrow.inventory.kollect.io/ROW(one)\nclusterinventory.inventory.kollect.io/NS"},
	{args: "get invrow ROW(three) ROW(one) -n NS -o name", is: "inventoryrow.inventory.kollect.io/ROW(three)\ninventoryrow.inventory.kollect.io/ROW(one)"},
	{args: "get inv/apps kinv/apps cm/one -n NS", out: "inventory.inventory.kollect.io/apps | kollectinventory.kollect.io/apps | configmap/one"},
	{args: "get invrow ROW(one) abc -n NS", fail: true, out: "ROW(one)", err: `inventoryrows.inventory.kollect.io "abc" not found`},
	{args: "get -f FILE -o jsonpath={..metadata.name}", is: "apps NS"},
	{args: "get -f FILE", out: "inventory.inventory.kollect.io/apps | clusterinventory.inventory.kollect.io/NS"},
	{args: "describe -f FILE --show-events=false", out: "Kind: | Inventory | Kind: | ClusterInventory"},

	// Subresources: downloads and diffs are none that can be printed, nor is a status.
	{args: "get inv apps -n NS --subresource=status", fail: true, err: "the server could not find the requested resource"},
	{args: "get inv apps -n NS --subresource=scale", fail: true, err: "the server could not find the requested resource"},

	// Raw paths.
	{args: "get --raw /apis/inventory.kollect.io/v1alpha1/namespaces/NS/inventories/apps", out: `"kind":"Inventory","apiVersion":"inventory.kollect.io/v1alpha1" | "name":"apps" | "rows":3`},
	{args: "get --raw /apis/inventory.kollect.io/v1alpha1/namespaces/NS/inventoryrows?limit=1", out: `"kind":"InventoryRowList" | "remainingItemCount":2`},
	{args: "get --raw /apis/inventory.kollect.io/v1alpha1/namespaces/NS/inventories/apps/snapshot?format=csv", out: "cluster,inventory_namespace, | NS"},
	{args: "get --raw /apis/inventory.kollect.io/v1alpha1/namespaces/NS/inventories/abc", fail: true, err: `Error from server (NotFound): inventories.inventory.kollect.io "abc" not found`},
	{args: "get --raw /apis/inventory.kollect.io/v1alpha1/namespaces/NS/foobar", fail: true, err: "Error from server (NotFound): the server could not find the requested resource"},

	// Of test/cmd/request-timeout.sh.
	{args: "get inv apps -n NS --request-timeout=30", out: "apps"},
	{args: "get inv apps -n NS --request-timeout=1p", fail: true, err: "nvalid timeout value"},

	// A warning where there is none would be an error.
	{args: "get inv,cinv,invrow,arow -n NS --warnings-as-errors -o name", out: "inventory.inventory.kollect.io/apps | accessiblerow.inventory.kollect.io/"},
}

// outputAssertions are about forms of output.
var outputAssertions = []assertion{
	{args: "get inv apps -n NS", out: "NAME | ROWS | KINDS | GENERATION | HASH | SYNCED | STALE | EXPORTED | AGE | apps | 3 | ConfigMap=3 | True | False", lacks: "CLUSTER"},
	{args: "get inv apps -n NS -o wide", out: "NAME | AGE | CLUSTER | apps | development"},
	{args: "get invrow ROW(one) -n NS", out: "NAME | KIND | SOURCE NAMESPACE | SOURCE | TARGET | HOST | PORT | SIZE | VALUE | AGE | ROW(one) | ConfigMap | NS | one | NS/settings | 2 | red", lacks: "UID"},
	{args: "get invrow ROW(one) -n NS -o wide", out: "NAME | VALUE | AGE | UID | CLUSTER | ROW(one) | red | - | development"},
	{args: "get invrow -n NS --no-headers", out: "apps. | ConfigMap | apps. | ConfigMap | apps. | ConfigMap", lacks: "NAME"},
	{args: "get invrow ROW(one) -n NS --show-labels", out: "LABELS | app=a,rank=3"},
	{args: "get invrow ROW(one) -n NS -L app,rank,none", out: "AGE | APP | RANK | NONE | red | a | 3"},
	{args: "get invrow ROW(one) -n NS --label-columns=rank --no-headers", out: "red | 3"},
	{args: "get invrow ROW(two) ROW(one) -n NS -o custom-columns=NAME:.source.name,VALUE:.attributes.value,NONE:.none", out: "NAME | VALUE | NONE | two | blue | <none> | one | red | <none>"},
	{args: "get invrow ROW(two) ROW(one) -n NS -o jsonpath={.items[*].source.name}", is: "two one"},
	{args: "get invrow ROW(one) -n NS -o jsonpath={.metadata.labels.rank}", is: "3"},
	{args: "get invrow ROW(two) ROW(one) -n NS -o 'go-template={{range .items}}{{.source.name}}={{.attributes.size}} {{end}}'", is: "two=3 one=2"},
	{args: "get invrow ROW(one) -n NS -o yaml", out: "apiVersion: inventory.kollect.io/v1alpha1 | attributes: |   value: red | kind: InventoryRow | name: ROW(one) | source: |   name: one"},
	{args: "get invrow ROW(one) -n NS -o json", out: `"apiVersion": "inventory.kollect.io/v1alpha1" | "size": 2 | "kind": "InventoryRow" | "name": "ROW(one)"`},
	{args: "get invrow ROW(one) -n NS -o json --show-managed-fields", out: `"kind": "InventoryRow"`, lacks: "managedFields"},
	{args: "get invrow -n NS --server-print=false", out: "NAME | AGE", lacks: "SOURCE"},
	{args: "get arow -n NS", out: "NAME | KIND | SOURCE | INVENTORY | TARGET | AGE | NS/apps"},
	{args: "get cinvrow CROW(one)", out: "NAME | KIND | SOURCE NAMESPACE | SOURCE | TARGET | VALUE | AGE | CROW(one) | NS | one"},

	// Missing keys of templates, and a template without a format.
	{args: "get inv apps -n NS -o jsonpath={.missing}", lacks: "missing"},
	{args: "get inv apps -n NS -o go-template={{.missing}}", is: "<no value>"},
	{args: "get inv apps -n NS --template={{.metadata.name}}:", is: "apps:"},
	{args: "get inv apps -n NS --allow-missing-template-keys=false -o jsonpath={.missing}", fail: true, err: "missing is not found"},
	{args: "get inv apps -n NS --allow-missing-template-keys=false -o go-template={{.missing}}", fail: true, both: `map has no entry for key "missing"`},
}

// selectAssertions are about selectors.
var selectAssertions = []assertion{
	{args: "get invrow -n NS -l app=a -o jsonpath={.items[*].attributes.value}", both: "red", lacks: "green"},
	{args: "get invrow -n NS -l app!=a -o jsonpath={.items[*].source.name}", is: "three"},
	{args: "get invrow -n NS -l 'app in (a,c),rank!=2' -o jsonpath={.items[*].source.name}", is: "one"},
	{args: "get invrow -n NS -l rank,!none --field-selector source.name=two -o jsonpath={.items[*].source.name}", is: "two"},
	{args: "get invrow -n NS -l app=none", err: "No resources found in NS namespace."},
	{args: "get invrow -n NS -l (", fail: true, err: `Error from server (BadRequest): Unable to find "inventory.kollect.io/v1alpha1, Resource=inventoryrows" that match label selector "(", field selector "": found '(', expected: !, identifier, or 'end of string'`},
	{args: "get invrow ROW(one) -n NS -l app=a", fail: true, err: "name cannot be provided when a selector is specified"},

	// Of test/cmd/core.sh.
	{args: "get inv -n NS --field-selector metadata.name=apps -o name", is: "inventory.inventory.kollect.io/apps"},
	{args: "get invrow -n NS --field-selector metadata.name=ROW(two) -o jsonpath={.items[*].source.name}", is: "two"},
	{args: "get invrow -n NS --field-selector metadata.name!=ROW(two),source.name!=one -o jsonpath={.items[*].source.name}", is: "three"},
	{args: "get invrow -n NS --field-selector attributes.value=blue -o jsonpath={.items[*].source.name}", is: "two"},
	{args: "get arow -n NS --field-selector inventory=apps,source.name=three,target=NS/settings -o name", is: "accessiblerow.inventory.kollect.io/ROW(three)"},
	{args: "get cinvrow --field-selector inventory=NS,source.kind=ConfigMap,attributes.size=10 -o jsonpath={.items[*].source.name}", is: "three"},
	{args: "get inv -n NS --field-selector spec.none=x", fail: true, err: `Error from server (BadRequest): Unable to find "inventory.kollect.io/v1alpha1, Resource=inventories" that match label selector "", field selector "spec.none=x": field label not supported: "spec.none"`},
	{args: "get invrow -n NS --field-selector attributes.none=x", fail: true, err: `(BadRequest) | field label not supported: "attributes.none": valid are metadata.name | source.kind | attributes.value`},
	{args: "get invrow -n NS --field-selector abc", fail: true, err: `invalid selector: 'abc'; can't understand 'abc'`},
}

// sortAssertions are about --sort-by. An older object of the three is not first:
// they are made in one order, named by digests in another.
var sortAssertions = []assertion{
	{args: "get inv -n NS-empty --sort-by={metadata.name}", err: "No resources found"},
	{args: "get invrow -n NS-empty --sort-by={metadata.creationTimestamp}", err: "No resources found"},
	{args: "get inv -n NS --sort-by={metadata.name}", out: "apps"},
	{args: "get invrow -n NS --sort-by={source.name}", out: "ROW(one) | ROW(three) | ROW(two)"},
	{args: "get invrow -n NS --sort-by={metadata.labels.rank}", out: "ROW(three) | ROW(two) | ROW(one)"},
	{args: "get invrow -n NS --sort-by={.attributes.size}", out: "ROW(one) | ROW(two) | ROW(three)"},
	{args: "get invrow -n NS --sort-by={.attributes.value} -o name", out: "ROW(two) | ROW(three) | ROW(one)"},
	{args: "get invrow -n NS --v=8 --sort-by={source.name}", err: "includeObject=Object | as=Table"},
	{args: "get invrow -n NS --v=8 --sort-by={source.name} --server-print=false", out: "ROW(one) | ROW(three) | ROW(two)", lacks: "as=Table"},
	{args: "get invrow -n NS --sort-by={.none} --server-print=false", fail: true, err: `couldn't find any field with path "{.none}" in the list of objects`},
}

// chunkAssertions are about --chunk-size. How a request is logged changed.
var chunkAssertions = []assertion{
	{args: "get invrow -n NS --v=6 --chunk-size=2", err: `/inventoryrows?limit=2" status="200 OK" | /inventoryrows?continue= | limit=2" status="200 OK"`, only: newest},
	{args: "get invrow -n NS --v=6 --chunk-size=2", err: "/inventoryrows?limit=2 200 OK | /inventoryrows?continue= | limit=2 200 OK", only: older},
	{args: "get invrow -n NS --v=6", err: "/inventoryrows?limit=500", lacks: "continue="},
	{args: "get invrow -n NS --v=6 --chunk-size=0", err: "/inventoryrows", lacks: "limit="},
	{args: "get invrow -n NS --chunk-size=1 --no-headers", out: "ConfigMap | ConfigMap | ConfigMap", lacks: "NAME"},
	{args: "get arow -n NS --chunk-size=1 -o name", out: "accessiblerow.inventory.kollect.io/apps. | /apps. | /apps. | /NS. | /NS. | /NS."},
	{args: "get invrow -n NS --chunk-size=1 --sort-by={source.name}", out: "ROW(one) | ROW(three) | ROW(two)"},
}

// namespaceAssertions are about --all-namespaces and rights.
var namespaceAssertions = []assertion{
	{args: "get invrow --all-namespaces --namespace=NS-empty", out: "NAMESPACE | NAME | NS | apps."},
	{args: "get inv -A", out: "NAMESPACE | NAME | NS | apps"},
	{args: "get arow -A -o custom-columns=NS:.metadata.namespace", out: "NS | NS"},
	{args: "get cinv --all-namespaces", out: "NAME | NS", lacks: "NAMESPACE"},
	{args: "get cinv NS -n NS-empty", out: "NAME | NS", lacks: "NAMESPACE"},
	{args: "get arow -A --as=NS -o custom-columns=NS:.metadata.namespace --no-headers --field-selector inventory=apps", is: "NS\nNS\nNS"},
	{args: "get arow -A --as=stranger", err: "No resources found"},
	{args: "get invrow -A --as=NS", fail: true, err: `Error from server (Forbidden): inventoryrows.inventory.kollect.io is forbidden: User "NS" cannot list resource "inventoryrows" in API group "inventory.kollect.io" at the cluster scope`},
	{args: "get invrow -n NS-empty --as=NS", fail: true, err: `User "NS" cannot list resource "inventoryrows" in API group "inventory.kollect.io" in the namespace "NS-empty"`},
}

// describeAssertions are of test/cmd/core.sh and generic-resources.sh.
var describeAssertions = []assertion{
	{args: "describe inv apps -n NS", out: "Name: | apps | Namespace: | NS | Labels: | API Version: | inventory.kollect.io/v1alpha1 | Kind: | Inventory | Content Hash: | sha256: | Rows: | Events:"},
	{args: "describe inv apps -n NS --show-events=false", out: "Name: | apps", lacks: "Events:"},
	{args: "describe invrow -n NS -l app=b", out: "Name: | ROW(three) | Labels: | app=b | Attributes: | green | Kind: | InventoryRow | Source: | three", lacks: "ROW(one)"},
	{args: "describe invrow -n NS --chunk-size=1", out: "Name: | Name: | Name:"},
	{args: "describe inv/apps cinv/NS -n NS", out: "Kind: | Inventory | Kind: | ClusterInventory"},
	{args: "describe inv app -n NS", out: "Name: | apps"}, // a prefix
	{args: "describe inv abc -n NS", fail: true, err: `inventories.inventory.kollect.io "abc" not found`},
	{args: "describe invrow -n NS-empty", err: "No resources found in NS-empty namespace."},
}

// waitAssertions are of test/cmd/wait.sh.
var waitAssertions = []assertion{
	{args: "wait --for=jsonpath={.status.rows}=3 inv/apps -n NS", is: "inventory.inventory.kollect.io/apps condition met"},
	{args: "wait --for=jsonpath=.status.rows=3 cinv/NS", is: "clusterinventory.inventory.kollect.io/NS condition met"},
	{args: "wait --for=jsonpath={.status.contentHash} inv/apps -n NS", is: "inventory.inventory.kollect.io/apps condition met"},
	{args: "wait --for=jsonpath={.status.contentHash} inv/apps -n NS --timeout=0", is: "inventory.inventory.kollect.io/apps condition met"},
	{args: `wait --for='jsonpath=status.kinds[?(@.kind=="ConfigMap")].rows=3' inv/apps -n NS`, is: "inventory.inventory.kollect.io/apps condition met"},
	{args: "wait --for=condition=Synced --for=jsonpath={.status.rows}=3 inv/apps -n NS", out: "inventory.inventory.kollect.io/apps condition met"},
	{args: "wait --for=condition=Synced inv --all -n NS", is: "inventory.inventory.kollect.io/apps condition met"},
	{args: "wait --for=jsonpath={.attributes.value}=green invrow -l app=b -n NS", is: "inventoryrow.inventory.kollect.io/ROW(three) condition met"},
	{args: "wait --for=create arow/ROW(one) -n NS", is: "accessiblerow.inventory.kollect.io/ROW(one) condition met"},
	{args: "wait --for=delete inv/abc -n NS"},
	{args: "wait --for=jsonpath={.status.rows}=99 inv/apps -n NS --timeout=300ms", fail: true, err: "error: timed out waiting for the condition on inventories/apps"},
	{args: "wait --for=condition=InvalidCondition inv/apps -n NS --timeout=300ms", fail: true, err: "error: timed out waiting for the condition on inventories/apps"},
	{args: "wait --for=delete invrow/ROW(one) -n NS --timeout=300ms", fail: true, err: "timed out waiting for the condition on inventoryrows/ROW(one)"},
	// Of several conditions the older kubectl takes the last alone.
	{args: "wait --for=jsonpath={.status.rows}=99 --for=condition=Synced inv/apps -n NS --timeout=300ms", fail: true, err: "timed out", only: newest},
	{args: "wait --for=jsonpath={.status.rows}=99 --for=condition=Synced inv/apps -n NS --timeout=300ms", out: "condition met", only: older},
}

// eventsAssertions are of test/cmd/events.sh. Events are about configuration; what
// is served has none, and is asked for without an error.
var eventsAssertions = []assertion{
	{args: "events -A", out: "NAMESPACE | NS | KollectInventory/apps"},
	{args: "events -n NS --for=kinv/apps", out: "Ready | KollectInventory/apps"},
	{args: "events -n NS --for=KollectInventory.kollect.io/apps --types=Normal", out: "Ready | KollectInventory/apps"},
	{args: "events -n NS --for=kinv/apps --no-headers", out: "KollectInventory/apps", lacks: "LAST SEEN"},
	{args: "events -n NS --for=kinv/apps --output=json", out: `"kind": "KollectInventory" | "reason": "Ready"`},
	{args: "events -n NS --for=inv/apps", err: "No events found in NS namespace."},
	{args: "events -n NS --for=invrow/ROW(one)", err: "No events found in NS namespace."},
	{args: "events -n NS-empty", err: "No events found in NS-empty namespace."},
}

// watchAssertions are about watches that end by themselves.
var watchAssertions = []assertion{
	{args: "get inv/abc -n NS -w", fail: true, err: `inventories.inventory.kollect.io "abc" not found`},
	{args: "get inv,invrow -n NS -w", fail: true, err: "error: you may only specify a single resource type"},
	{args: "get arow -n NS --chunk-size=1 -w --request-timeout=3 --output-watch-events", out: "EVENT | NAME | ADDED | ADDED | ADDED | ADDED | ADDED | ADDED", lacks: "watch is only supported on individual resources | MODIFIED"},
}

// compressionAssertions are about answers that are long. Other than for resources
// of kube-apiserver, the header is there without compression too: on its way to an
// aggregated server kube-apiserver asks for compression by itself.
var compressionAssertions = []assertion{
	{args: "get invrow -n NS --v=8 -o json", err: "Vary: Accept-Encoding"},
	{args: "get invrow -n NS --v=8 -o json --disable-compression=true", out: "aaaa | aaaa | aaaa", lacks: "Content-Encoding"},
}

// discoveryAssertions are about names of resources: short ones, categories,
// versions.
var discoveryAssertions = []assertion{
	{args: "get inv,cinv,invrow,cinvrow,arow -n NS -o name", out: "inventory.inventory.kollect.io/apps | clusterinventory. | inventoryrow. | clusterinventoryrow. | accessiblerow."},
	{args: "get inventory,inventoryrow -n NS -o name", out: "inventory.inventory.kollect.io/apps | inventoryrow."},
	{args: "get Inventory.v1alpha1.inventory.kollect.io apps -n NS -o name", is: "inventory.inventory.kollect.io/apps"},
	{args: "get inventoryrows.inventory.kollect.io -n NS -o name", out: "inventoryrow.inventory.kollect.io/"},
	{args: "get inventories.v9.inventory.kollect.io -n NS", fail: true, err: `error: the server doesn't have a resource type "inventories"`},
	{args: "get kollect -n NS -o name", out: "inventory.inventory.kollect.io/apps | kollectinventory.kollect.io/apps", lacks: "row."},
	{args: "get all -n NS", err: "No resources found in NS namespace."},
	{args: "api-resources --api-group=inventory.kollect.io -o wide", out: "accessiblerows | arow | true | AccessibleRow | get,list,watch | clusterinventories | cinv | false | get,list,watch | kollect | inventories | inv | true | Inventory | get,list,watch | kollect"},
	{args: "api-resources --verbs=delete --api-group=inventory.kollect.io -o name", lacks: "inventory.kollect.io"},
	{args: "explain inventoryrows.source.uid", out: "KIND: | InventoryRow | FIELD: uid <string>"},
	{args: "explain clusterinventories.status --api-version=inventory.kollect.io/v1alpha1", out: "GROUP: | inventory.kollect.io | FIELDS: | contentHash"},
}
