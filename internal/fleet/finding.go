package fleet

import "fmt"

// The words for what may be wrong; package story has what they mean and what to do.
const (
	split   = "split_channel_layer"
	secrets = "different_secrets"
)

// A doubt is what is wrong with the replicas together.
type doubt struct{ cause, text string }

func (d *doubt) Error() string { return d.text }

// Cause returns the stable word for it, as [room.Cause] gives it on.
func (d *doubt) Cause() string { return d.cause }

// Doubt says what is wrong with the replicas together, as far as this one sees it;
// nil where nothing is. It asks nobody.
func (w *Watch) Doubt() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.unheard) > 0:
		return &doubt{split, "not heard over the channel layer, though they share Postgres: " + names(w.unheard)}
	case len(w.strangers) > 0:
		return &doubt{secrets, "tokens are refused that other replicas sign, or theirs by them: " + names(w.strangers)}
	}
	return nil
}

// Others says in words how many there are. It asks nobody.
func (w *Watch) Others() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("others that share Postgres: %d", w.alive)
}
