package postgres

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// unprivileged has root run a program as somebody else: PostgreSQL refuses root.
func unprivileged() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if uid, gid, ok := other(); ok {
		attr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return attr
}

// giveAway hands a folder to whom unprivileged programs run as.
func giveAway(folder string) error {
	uid, gid, ok := other()
	if !ok {
		return nil
	}
	return filepath.WalkDir(folder, func(name string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(name, int(uid), int(gid)))
	})
}

// other returns whom root runs programs as.
func other() (uid, gid uint32, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	const nobody = 65534
	if u, err := user.Lookup("postgres"); err == nil {
		id, err1 := strconv.ParseUint(u.Uid, 10, 32)
		group, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return uint32(id), uint32(group), true
		}
	}
	return nobody, nobody, true
}
