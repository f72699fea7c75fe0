// Package kafka runs Apache Kafka for tests: one broker of a KRaft cluster, of the
// artifacts that Maven fetches, in a temporary folder and on loopback ports of its
// own. Its invariant: what it has started ends with it.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/services/pki"
)

const (
	// Anybody may do everything at Server.Address. At the other addresses users may
	// do what they are given rights to. PlainUser has PlainPassword by SASL PLAIN.
	PlainUser     = "plain"
	PlainPassword = "s3cret-of-plain"
)

// Server is a running broker.
type Server struct {
	folder  string // its own: data, certificates, log
	classes string
	java    string
	ports   []int // plaintext, SASL, TLS, SASL with TLS, controller
	ca      *pki.Authority
	server  *child.Process // nil: it is down
}

// answerTimeout bounds how long a server takes to answer.
const answerTimeout = time.Minute

// Start makes a server and waits until it answers.
func Start(ctx context.Context) (*Server, error) {
	folder, err := os.MkdirTemp("", "kollect-kafka-")
	if err != nil {
		return nil, err
	}
	s, err := Make(ctx, folder, os.Stderr)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := s.Up(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Make makes a server in a folder, and does not start it. As to log see Fetch.
func Make(ctx context.Context, folder string, log io.Writer) (*Server, error) {
	s := &Server{folder: folder}
	var err error
	if s.java, err = exec.LookPath("java"); err != nil {
		return nil, errors.New("java, 17 or later, is missing: apt-get install default-jre-headless")
	}
	if s.classes, err = Fetch(ctx, log); err != nil {
		return nil, err
	}
	for range 5 {
		port, err := child.FreePort()
		if err != nil {
			return nil, err
		}
		s.ports = append(s.ports, port)
	}
	return s, s.init(ctx)
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

func (s *Server) command(ctx context.Context, class string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.java, append([]string{
		"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Djava.io.tmpdir=" + s.folder, "-Dlog4j2.configurationFile=" + s.path("log4j2.properties"),
		"-cp", filepath.Join(s.classes, "*"), class,
	}, args...)...)
	cmd.Dir = s.folder
	return cmd
}

// init makes the configuration, the certificates and the data.
func (s *Server) init(ctx context.Context) (err error) {
	if s.ca, err = pki.NewAuthority(); err != nil {
		return err
	}
	certificate, key, err := s.ca.Issue("localhost")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"ca.pem": s.ca.PEM, "server.pem": append(key, certificate...), "log4j2.properties": []byte(logging),
		"server.properties": []byte(s.configuration()),
	} {
		if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
			return err
		}
	}
	format := s.command(ctx, "kafka.tools.StorageTool", "format", "--cluster-id", "kollect-test-cluster00", "--config", s.path("server.properties"))
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("format the broker's folder: %w: %s", err, out)
	}
	return nil
}

const logging = `rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d %p %m (%c)%n
`

func (s *Server) configuration() string {
	var b strings.Builder
	listeners := []string{"PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL", "CONTROLLER"}
	for i, name := range listeners {
		listeners[i] = fmt.Sprintf("%s://127.0.0.1:%d", name, s.ports[i])
	}
	for _, name := range []string{"sasl_plaintext", "sasl_ssl"} {
		for mechanism, login := range map[string]string{
			"plain":         fmt.Sprintf(`org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s"`, PlainUser, PlainPassword),
			"scram-sha-256": "org.apache.kafka.common.security.scram.ScramLoginModule required",
			"scram-sha-512": "org.apache.kafka.common.security.scram.ScramLoginModule required",
			"oauthbearer":   "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required",
		} {
			fmt.Fprintf(&b, "listener.name.%s.%s.sasl.jaas.config=%s;\n", name, mechanism, login)
		}
	}
	fmt.Fprintf(&b, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%d
controller.listener.names=CONTROLLER
listeners=%s
advertised.listeners=%s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
ssl.keystore.type=PEM
ssl.keystore.location=%s
ssl.truststore.type=PEM
ssl.truststore.location=%s
ssl.client.auth=requested
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs=%s
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
log.cleaner.backoff.ms=500
log.index.size.max.bytes=65536
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
`, s.ports[4], strings.Join(listeners, ","), strings.Join(listeners[:4], ","), s.path("server.pem"), s.path("ca.pem"), s.path("data"))
	return b.String()
}

// Command returns the program with its arguments. Who cancels ctx ends it.
func (s *Server) Command(ctx context.Context) *exec.Cmd {
	return s.command(ctx, "kafka.Kafka", s.path("server.properties"))
}

// Ready says why the server does not answer.
func (s *Server) Ready(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Address()), kgo.RequestRetries(0), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

// Up starts the broker, if it is down, and waits until it answers.
func (s *Server) Up(ctx context.Context) error {
	if s.server != nil {
		return nil
	}
	server, err := child.Start(s.Command(context.WithoutCancel(ctx)), s.path("log"), false)
	if err != nil {
		return err
	}
	s.server = server
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return server.Await(ctx, s.Ready)
}

// Kill ends the broker at once, as a crash does.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Down has the broker end in order.
func (s *Server) Down() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	if s.server != nil {
		s.server.End(signal)
		s.server = nil
	}
}

// Stop ends the broker and removes its folder.
func (s *Server) Stop() error {
	s.Kill()
	return os.RemoveAll(s.folder)
}

// Address is where anybody may do everything, without TLS.
func (s *Server) Address() string { return s.address(0) }

// SASLAddress is where users log in without TLS, TLSAddress where clients may have a
// certificate, and SASLTLSAddress where users log in with TLS.
func (s *Server) SASLAddress() string    { return s.address(1) }
func (s *Server) TLSAddress() string     { return s.address(2) }
func (s *Server) SASLTLSAddress() string { return s.address(3) }

func (s *Server) address(i int) string { return fmt.Sprintf("127.0.0.1:%d", s.ports[i]) }

// CA returns the certificate of the authority, in PEM form, that has signed the
// broker's, which is for localhost and 127.0.0.1.
func (s *Server) CA() []byte { return s.ca.PEM }

// ClientCertificate returns a certificate of the user CN=name, and its key.
func (s *Server) ClientCertificate(name string) (certificate, key []byte, err error) {
	return s.ca.Issue(name)
}
