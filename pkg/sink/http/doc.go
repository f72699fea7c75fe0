// Package httpsink is the snapshot store that sends each snapshot as a whole to an
// endpoint of somebody's own, in one request:
//
//	PUT or POST   the snapshot; any 2xx says that the receiver has it
//	HEAD          what does the receiver hold
//	PATCH         what it holds is still current
//	DELETE        remove what it holds
//	GET           which inventories of a cluster are held
//
// The headers Kollect-* say of which inventory and generation a request is, and, in
// answers, what is held. A receiver has to understand no more than PUT or POST: one
// whose answer to HEAD has no Kollect-Generation does not tell. It is not asked to
// confirm anything then, and what it acknowledged to this process is what it holds: a
// restart sends the snapshot once more.
//
// It is the receiver that refuses an older generation, with 409 or 412: nobody else
// sees what all servers send. The package never reads rows back, follows no redirect
// to another host, and uses no proxy.
//
// Its invariant: an attempt to write is one body, byte for byte, however often it is
// sent, and its digest is known before it is.
package httpsink
