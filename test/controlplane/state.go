package controlplane

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"kollect.io/kollect/test/child"
)

// state is what Open needs to know of a control plane; it is kept in Dir from
// the moment the first process runs.
type state struct {
	Binaries      Paths      `json:"binaries"`
	EtcdDataDir   string     `json:"etcdDataDir"`
	Socket        string     `json:"socket"`
	APIServerArgs []string   `json:"apiServerArgs,omitempty"`
	Port          int        `json:"port,omitempty"` // kube-apiserver's
	Processes     []*process `json:"processes"`      // in the order of their start
	TempDirs      []string   `json:"tempDirs,omitempty"`
}

const stateFile = "control-plane.json"

// Open returns the control plane that an earlier process started with
// Options.Detach in dir, whatever of it still runs. The error is os.ErrNotExist
// if there is none.
func Open(dir string) (*ControlPlane, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open control plane: %w", err)
	}
	cp := &ControlPlane{pickPort: child.FreePort}
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, fmt.Errorf("open control plane: %w", err)
	}
	if err := json.Unmarshal(b, &cp.state); err != nil {
		return nil, fmt.Errorf("open control plane: read %s: %w", stateFile, err)
	}
	cp.opts = Options{
		Dir:           dir,
		Detach:        true,
		EtcdDataDir:   cp.state.EtcdDataDir,
		APIServerArgs: cp.state.APIServerArgs,
		Binaries:      cp.state.Binaries,
		Log:           io.Discard,
	}
	if cp.ca, err = loadAuthority(cp.path("pki"), "ca"); err != nil {
		return nil, err
	}
	if cp.admin, err = cp.UserConfig(adminUser, adminGroup); err != nil {
		return nil, err
	}
	return cp, nil
}

// Process is one program of a control plane.
type Process struct {
	Name    string
	PID     int
	Running bool
	Log     string
}

// Processes returns the programs that were started and not stopped, in the
// order of their start, with those that ended by themselves.
func (cp *ControlPlane) Processes() []Process {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	var out []Process
	for _, p := range cp.state.Processes {
		out = append(out, Process{Name: p.Name, PID: p.PID, Running: p.running(), Log: p.Log})
	}
	return out
}

// save keeps the state in Dir, in place of what was there.
func (cp *ControlPlane) save() error {
	b, err := json.MarshalIndent(cp.state, "", "  ")
	if err != nil {
		return fmt.Errorf("save control plane: %w", err)
	}
	partial := cp.path(stateFile + ".partial")
	if err := os.WriteFile(partial, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("save control plane: %w", err)
	}
	if err := os.Rename(partial, cp.path(stateFile)); err != nil {
		return fmt.Errorf("save control plane: %w", err)
	}
	return nil
}

// record adds a started process, and ends it if it cannot be put on record.
func (cp *ControlPlane) record(p *process) error {
	cp.forget(p.Name)
	cp.state.Processes = append(cp.state.Processes, p)
	if err := cp.save(); err != nil {
		cp.forget(p.Name)
		_ = p.stop(0)
		return err
	}
	return nil
}

func (cp *ControlPlane) forget(name string) {
	cp.state.Processes = slices.DeleteFunc(cp.state.Processes, func(p *process) bool { return p.Name == name })
}

func (cp *ControlPlane) find(name string) *process {
	for _, p := range cp.state.Processes {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func (cp *ControlPlane) running(name string) bool {
	p := cp.find(name)
	return p != nil && p.running()
}

// end stops the process of that name, if there is one, and forgets it.
func (cp *ControlPlane) end(name string, grace time.Duration) error {
	p := cp.find(name)
	if p == nil {
		return nil
	}
	if err := p.stop(grace); err != nil {
		return err
	}
	cp.forget(name)
	return cp.save()
}

// maxSocketPath is what every system allows for the path of a Unix socket.
const maxSocketPath = 100

// socketPath says where etcd listens: in dir, or in a folder of its own where
// dir's path is too long for that.
func socketPath(dir string) (string, error) {
	path := filepath.Join(dir, "etcd.sock")
	if len(path) <= maxSocketPath {
		return path, nil
	}
	short, err := os.MkdirTemp("", "kollect-")
	if err != nil {
		return "", fmt.Errorf("create folder for etcd's socket: %w", err)
	}
	return filepath.Join(short, "etcd.sock"), nil
}

// socketDir returns the folder that socketPath made, or nothing.
func (s *state) socketDir(dir string) string {
	if s.Socket == "" || filepath.Dir(s.Socket) == dir {
		return ""
	}
	return filepath.Dir(s.Socket)
}
