package inventory

import (
	"math/rand/v2"
	"testing"
)

// randomProgram returns a program for a machine.
func randomProgram(random *rand.Rand, size int) []byte {
	program := make([]byte, size)
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	return program
}

func TestStoreAgreesWithModel(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := run(t, randomProgram(random, 600))
		if len(m.log) == 0 {
			t.Fatal("nothing happened")
		}
	}
}

func FuzzStore(f *testing.F) {
	random := rand.New(rand.NewPCG(7, 7))
	for size := 8; size <= 128; size *= 2 {
		f.Add(randomProgram(random, size))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 512 {
			program = program[:512]
		}
		run(t, program)
	})
}
