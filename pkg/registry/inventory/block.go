package inventory

import (
	"iter"

	"kollect.io/kollect/pkg/inventory"
)

// block is objects of a list that are side by side.
type block[T object] struct {
	objects iter.Seq[T]
	// leaf is that whose rows they all are, and no others; zero: there is none.
	leaf inventory.Leaf
}

func blockOf[T object](object T) block[T] {
	return block[T]{objects: func(yield func(T) bool) { yield(object) }}
}

// flatten yields the objects of blocks.
func flatten[T object](blocks iter.Seq[block[T]]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for b := range blocks {
			for object := range b.objects {
				if !yield(object) {
					return
				}
			}
		}
	}
}
