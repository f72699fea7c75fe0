// Package objectstore is the snapshot store on S3, Google Cloud Storage, Azure
// Blob Storage and folders. Each generation of an inventory is one immutable
// object, at the path that ADR-0401 gives it:
//
//	<prefix>inventory/cluster=<c>/ns=<ns>/name=<inventory>/generation=<g>.<format>
//	<prefix>inventory/cluster=<c>/ns=<ns>/name=<inventory>/_manifests/<g>.json
//	<prefix>inventory/cluster=<c>/ns=<ns>/name=<inventory>/_latest.json
//	<prefix>current/cluster=<c>/_inventories.json
//	<prefix>current/cluster=<c>/files.txt
//
// A cluster inventory has no namespace: its path has ns=_cluster, which no
// namespace can be called. Names that start with an underscore are passed over
// by readers of hive paths such as Athena.
//
// Data and manifest are written first and never changed; the pointer
// _latest.json is swapped last, by compare-and-set. It never reads rows back,
// never overwrites data, and takes nothing of the server's own (files, profiles,
// credentials, addresses) into use because a URL says so.
//
// The list and the links of a cluster below current/ follow its pointers, by
// compare-and-set too, so that one read tells of all inventories. Retention runs
// after them.
//
// Its invariant: the pointer names a complete object, and its generation only
// rises; so does each generation in the list.
package objectstore
