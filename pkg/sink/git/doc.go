// Package git is the snapshot store on a branch of a Git repository, over HTTPS or
// SSH. Each export of an inventory is a commit. What the branch holds of it is in
// one folder, which spec.git.pathTemplate names:
//
//	<folder>/.kollect.json                                  what is held: the manifest
//	<folder>/inventory.yaml                                 layout document
//	<folder>/resources/<namespace>/<resource>/<name>.<key>.yaml   layout perResource
//
// It speaks with the server directly and makes blobs and trees itself: there is no
// clone and no work tree, nothing of others' files is read, and a restart reads the
// folders on the way to the manifest. It never forces a push, and touches nothing
// but these names in folders of its inventories.
//
// Its invariant: a commit changes the branch from the one that was read, whole, and
// the generation in a manifest only rises while nobody rewrites the history.
package git
