package crash

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
)

var (
	rounds = flag.Int("rounds", 6, "how often something crashes")
	seed   = flag.Uint64("seed", 0, "of what crashes and when; 0: by chance")
	only   = flag.String("only", "", "what crashes: those with this in their names; empty: all")
)

var shared world

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	log := io.Discard
	if testing.Verbose() {
		log = os.Stderr
	}
	defer func() {
		if err := shared.end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	if err := shared.start(context.Background(), log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
