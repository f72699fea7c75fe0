package child

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// FreePort returns a loopback port that nobody listens on. It is taken from
// below the range that the kernel hands to outgoing connections, so that a
// server which is restarted on its port does not find a connection on it.
func FreePort() (int, error) {
	const low = 15000
	high := 32768
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if first, _, ok := strings.Cut(string(b), "\t"); ok {
			if n, err := strconv.Atoi(first); err == nil && n > low+1000 {
				high = n
			}
		}
	}
	for range 100 {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			continue
		}
		return port, nil
	}
	return 0, errors.New("find a free port: tried 100")
}
