// Package postgres is the relational store on PostgreSQL: a table that holds the
// current rows of any number of clusters' inventories, and one that says which
// export each inventory is at.
//
// An export is one transaction. It moves the inventory's line in the state table
// from the generation that it goes out from to its own, which is what fences
// others, copies what has changed into a temporary table, and changes those rows.
// It never touches rows of another inventory or cluster, changes nothing about a
// table that is there but to add columns for promoted attributes, never drops any,
// and keeps nothing in a session, so that PgBouncer may pool transactions. It takes nothing of the server's own (environment, files,
// sockets) into use because a connection string says so.
//
// Its invariant: the rows of an inventory are those of the generation that its
// line in the state table names.
package postgres
