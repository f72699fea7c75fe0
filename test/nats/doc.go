// Package nats checks that the NATS sink keeps its promises on real servers: one
// alone, and a cluster of three, both in this process, on the loopback interface.
// They stay out of the product's module.
package nats
