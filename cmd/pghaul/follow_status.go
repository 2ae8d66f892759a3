package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/replicate"
)

func newFollowStatus(g *globals) *cobra.Command {
	o, format, sample := new(followFlags), "text", 2*time.Second
	cmd, what := o.followCommand(g, "status", "Tell how far behind the target is, and what is wrong", `status tells how many bytes of the source's log and how many seconds the target is
behind, when it will have caught up, how each table and the replication slot are, and
what needs attention. For the time it is looked twice, unless nothing is behind, and
taken that both servers go on as they did between the looks. It changes nothing.`, "something needs attention, and is listed", func(ctx context.Context, opts replicate.Options) (any, error) {
		if format != "text" && format != "json" {
			return nil, usagef("--format %q: want text or json", format)
		}
		if sample < 0 {
			return nil, usagef("--sample %v: want a time, or 0 to look only once", sample)
		}
		s, err := replicate.Observe(ctx, opts, sample)
		if err != nil {
			return nil, err
		}
		if format == "json" {
			err = writeJSON(g.stdout, s)
		} else {
			_, err = io.WriteString(g.stdout, statusText(s, g.verbose > 0))
		}
		if err == nil && len(s.Problems) > 0 {
			err = errIncomplete
		}
		return s, err
	})
	what.flags.BoolVar(&o.back, "back", false, "the way back after a cut-over that is reversible")
	what.flags.DurationVar(&sample, "sample", sample, "look a second time after `TIME`, for how fast it gets on; 0 looks once")
	what.flags.StringVar(&format, "format", format, "`FORMAT` of the output: text, with -v every table, or json")
	cmd.Flags().AddFlagSet(what.flags)
	return cmd
}

// lagLine says in a line how a follow is.
func lagLine(s *replicate.State) string {
	line := fmt.Sprintf("%s: %s; %s with %s applied", s.Stage, lag(s), ui.Plural(s.Transactions, "transaction"), ui.Plural(s.Changes, "change"))
	if s.Engine == replicate.EngineNative { // which counts nothing
		line = fmt.Sprintf("%s: %s", s.Stage, lag(s))
	}
	if n := len(s.Problems); n > 0 {
		line += fmt.Sprintf("; %s: pghaul follow status", ui.Plural(int64(n), "problem"))
	}
	return line
}

// lag says how far behind the target is.
func lag(s *replicate.State) string {
	switch {
	case s.LagBytes == nil:
		return "how far behind is not known"
	case s.LagSeconds == nil:
		return ui.Bytes(*s.LagBytes) + " of the source's log behind"
	case *s.LagSeconds == 0:
		return "nothing behind"
	}
	return fmt.Sprintf("%s of the source's log behind, %s", ui.Bytes(*s.LagBytes), ui.Duration(seconds(*s.LagSeconds))) + paceText(s.Pace)
}

// maxETA is from when on a time to wait is no more than a guess.
const maxETA = 30 * 24 * time.Hour

// paceText says when the target will have caught up.
func paceText(p *replicate.Pace) string {
	switch {
	case p == nil:
		return ""
	case p.ETA != nil && *p.ETA < maxETA.Seconds():
		return ", caught up in about " + ui.Duration(seconds(max(*p.ETA, 1)))
	case p.ETA != nil || p.CatchingUp != nil:
		return fmt.Sprintf(", not catching up: %s/s are applied, %s/s written", ui.Bytes(int64(p.Applied)), ui.Bytes(int64(p.Written)))
	}
	return fmt.Sprintf(", not known when caught up: nothing was completed within %s", ui.Duration(seconds(p.Seconds)))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// statusText is what status prints.
func statusText(s *replicate.State, all bool) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, ui.Redact(fmt.Sprintf(format, args...)))
	}
	state := string(s.Stage)
	if s.Stage == replicate.Following && !s.Running {
		state += ", but nobody applies changes"
		if s.Engine == replicate.EngineApply {
			state += ": pghaul follow run"
		}
	}
	line("Follow", "%s of database %s, engine %s, since %s", s.ID, s.SourceDatabase, s.Engine, s.Created.UTC().Format(time.RFC3339))
	line("State", "%s", state)
	line("Lag", "%s", lag(s))
	if s.Engine == replicate.EngineApply {
		line("Applied", "%s with %s, up to %s", ui.Plural(s.Transactions, "transaction"), ui.Plural(s.Changes, "change"), s.Applied)
	}
	if h := s.Health; h != nil {
		text := s.Slot
		switch {
		case !h.Exists:
			text += ": it is gone"
		case h.Active:
			text += ": in use"
		default:
			text += ": not in use"
		}
		if h.Exists {
			text += ", the source keeps " + ui.Bytes(h.Retained) + " for it"
		}
		if h.WALStatus != "" {
			text += ", " + h.WALStatus
		}
		if h.SafeWALSize != nil {
			text += ", " + ui.Bytes(*h.SafeWALSize) + " until it is given up"
		}
		line("Slot", "%s", text)
	}
	if s.Fenced {
		line("Fence", "the source takes no writes: a cut-over is under way, or was killed")
	}
	count := map[string]int{}
	for _, t := range s.TableStates {
		count[t.State]++
	}
	var parts []string
	for _, state := range []string{"copying", "following", "changed"} {
		if count[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[state], state))
		}
	}
	line("Tables", "%s", strings.Join(parts, ", "))
	for _, t := range s.TableStates {
		if all {
			fmt.Fprintf(&b, "           %s: %s\n", ui.Printable(t.Table), t.State)
		}
	}
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "PROBLEM    %s\n", ui.Redact(p))
	}
	return b.String()
}

// jsonLag is a line of --progress json while following.
type jsonLag struct {
	Time         time.Time       `json:"time"`
	Event        string          `json:"event"` // lag
	Stage        replicate.Stage `json:"stage"`
	LagBytes     *int64          `json:"lag_bytes"`
	LagSeconds   *float64        `json:"lag_seconds"`
	Transactions int64           `json:"transactions"`
	Changes      int64           `json:"changes"`
	Problems     []string        `json:"problems"`
	Pace         *replicate.Pace `json:"pace"`
}

func lagReport(s *replicate.State) jsonLag {
	problems := make([]string, len(s.Problems))
	for i, p := range s.Problems {
		problems[i] = ui.Redact(p)
	}
	return jsonLag{time.Now(), "lag", s.Stage, s.LagBytes, s.LagSeconds, s.Transactions, s.Changes, problems, s.Pace}
}
