package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// A secretsFile is where passwords that are generated go: for their owner's eyes
// only, made when the first one comes, never over another file.
type secretsFile struct {
	path  string
	again bool // a run that goes on adds to the file of the run before
	file  *os.File
	roles map[string]struct{}
}

// newSecretsFile takes a name, or chooses one.
func newSecretsFile(path string, resume bool) (*secretsFile, error) {
	s := &secretsFile{path: path, again: resume && path != "", roles: map[string]struct{}{}}
	if path == "" {
		s.path = "pghaul-passwords-" + time.Now().Format("20060102-150405") + ".txt"
		return s, nil
	}
	if _, err := os.Lstat(path); err == nil && !s.again {
		return nil, usagef("--password-file: %s is there already and is not overwritten: name another", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("--password-file: %v", err)
	}
	return s, nil
}

// add writes the password of a role before the role is made. It reaches the disk
// first: a role whose password nobody knows would be of no use.
func (s *secretsFile) add(role, password string) error {
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if _, err := s.file.WriteString(pair(role, password)); err != nil {
		return fmt.Errorf("write password file: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("write password file: %w", err)
	}
	s.roles[role] = struct{}{}
	return nil
}

func (s *secretsFile) open() error {
	const secret = 0o600
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, secret)
	if errors.Is(err, fs.ErrExist) && s.again {
		f, err = s.reopen(secret)
	}
	if err != nil {
		return fmt.Errorf("make password file: %w (name another place with --password-file, give passwords with --passwords, or take --no-login)", err)
	}
	s.file = f
	return nil
}

// reopen opens the file of the run before, if it is still secret.
func (s *secretsFile) reopen(mode os.FileMode) (*os.File, error) {
	info, err := os.Lstat(s.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&^mode != 0 {
		return nil, fmt.Errorf("%s is not a file that only its owner can read", s.path)
	}
	return os.OpenFile(s.path, os.O_APPEND|os.O_WRONLY, 0)
}

// count is the number of roles whose passwords are in the file.
func (s *secretsFile) count() int { return len(s.roles) }

// close closes the file.
func (s *secretsFile) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("write password file: %w", err)
	}
	return nil
}
