//go:build unix

package faults_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a run may take before it counts as hanging. Machines that
// run tests can be slow.
const patience = 4 * time.Minute

// A process is the command under way.
type process struct {
	cmd *exec.Cmd

	mu  sync.Mutex
	out bytes.Buffer
}

// Write implements io.Writer.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start runs the command.
func (l *lab) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(l.bin, args...)}
	p.cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GOTRACEBACK=all")
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// wait returns the exit status, and -1 of a process that a signal has ended. A
// process that hangs fails the test with its goroutines.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	hangs := time.AfterFunc(patience, func() {
		t.Errorf("the command hangs; its goroutines follow")
		p.signal(t, syscall.SIGQUIT)
	})
	defer hangs.Stop()
	err := p.cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	if out := p.output(); strings.Contains(out, "goroutine ") || strings.Contains(out, "DATA RACE") {
		t.Errorf("the command crashed:\n%s", out)
	}
	return p.cmd.ProcessState.ExitCode()
}
