package git

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshServer runs the programs of Git for whoever has the key.
type sshServer struct {
	server   *Server
	listener net.Listener
	config   *ssh.ServerConfig
	host     ssh.PublicKey
	userKey  []byte
	serving  sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

func startSSH(server *Server) (*sshServer, error) {
	host, _, err := newKey()
	if err != nil {
		return nil, err
	}
	user, userKey, err := newKey()
	if err != nil {
		return nil, err
	}
	s := &sshServer{server: server, host: host.PublicKey(), userKey: userKey, conns: map[net.Conn]bool{}}
	s.config = &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) != string(user.PublicKey().Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}
	s.config.AddHostKey(host)
	address := server.options.SSHAddress
	if address == "" {
		address = "127.0.0.1:0"
	}
	if s.listener, err = net.Listen("tcp", address); err != nil {
		return nil, err
	}
	s.serving.Go(s.accept)
	return s, nil
}

func newKey() (ssh.Signer, []byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	return signer, pem.EncodeToMemory(block), err
}

func (s *sshServer) address() string { return s.listener.Addr().String() }

func (s *sshServer) knownHosts() []byte {
	return []byte(knownhosts.Line([]string{knownhosts.Normalize(s.address())}, s.host) + "\n")
}

func (s *sshServer) stop() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

func (s *sshServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.serving.Go(func() {
			s.serve(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

func (s *sshServer) serve(conn net.Conn) {
	c, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	defer c.Close()
	var open sync.WaitGroup
	defer open.Wait()
	open.Go(func() { ssh.DiscardRequests(requests) })
	for asked := range channels {
		if asked.ChannelType() != "session" {
			asked.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		open.Go(func() { s.session(channel, requests) })
	}
}

func (s *sshServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	env := Environment()
	for request := range requests {
		switch request.Type {
		case "env":
			var set struct{ Name, Value string }
			ok := ssh.Unmarshal(request.Payload, &set) == nil && set.Name == "GIT_PROTOCOL" && !s.server.options.Version0
			if ok {
				env = append(env, set.Name+"="+set.Value)
			}
			request.Reply(ok, nil)
		case "exec":
			var run struct{ Command string }
			err := ssh.Unmarshal(request.Payload, &run)
			request.Reply(err == nil, nil)
			if err == nil {
				status := s.run(channel, run.Command, env)
				channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			}
			return
		default:
			request.Reply(false, nil)
		}
	}
}

// run runs the program of Git that the command names, in a repository of the server.
func (s *sshServer) run(channel ssh.Channel, command string, env []string) (status uint32) {
	program, path, _ := strings.Cut(command, " ")
	if program != "git-upload-pack" && program != "git-receive-pack" {
		io.WriteString(channel.Stderr(), "not allowed\n")
		return 1
	}
	path = strings.ReplaceAll(strings.Trim(path, "'"), `'\''`, "'")
	cmd := exec.Command("git", strings.TrimPrefix(program, "git-"), filepath.Join(s.server.dir, filepath.Join("/", path)))
	cmd.Env, cmd.Stdout, cmd.Stderr = env, channel, channel.Stderr()
	in, err := cmd.StdinPipe() // so that the end of the program does not wait for the client
	if err != nil {
		return 1
	}
	if err := cmd.Start(); err != nil {
		return 127
	}
	s.serving.Go(func() {
		io.Copy(in, channel)
		in.Close()
	})
	if err := cmd.Wait(); err != nil {
		return 1
	}
	return 0
}
