package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write the screenshots of the documents")

// limit is how long a test waits for something.
const limit = 30 * time.Second

// opsToken is the token of the ops listeners.
const opsToken = "a token of the operators"

// world is what all tests share: a deployment as `make run` starts it, and a browser.
var world struct {
	report  report
	dir     string // of the deployment: data and log
	program string // roomspa
	browser context.Context
}

// A report is what roomspa dev --json prints.
type report struct {
	ConsoleURL string `json:"console_url"`
	URL        string `json:"url"`
	Replicas   []struct {
		OpsURL string `json:"ops_url"`
		PID    int    `json:"pid"`
	} `json:"replicas"`
	DatabaseURL string `json:"database_url"`
	RedisURL    string `json:"redis_url"`
	JWTSecret   string `json:"jwt_secret"`
	Users       []struct {
		ID          int    `json:"id"`
		Email       string `json:"email"`
		Password    string `json:"password"`
		AccessToken string `json:"access_token"`
	} `json:"users"`
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	chromium := findChromium()
	if chromium == "" {
		fmt.Fprintln(os.Stderr, "browser: no Chromium found: the tests of the console are skipped; install Debian's package chromium, or name a program in ROOMSPA_CHROMIUM")
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "roomspa-browser-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres runs as another user if this one is root
		return 0, err
	}
	stop, err := startDeployment(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ctx, cancel := startBrowser(chromium, filepath.Join(dir, "profile"))
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		return 0, fmt.Errorf("start %s: %w", chromium, err)
	}
	world.browser = ctx
	return m.Run(), checkLog(filepath.Join(dir, "log"))
}

// checkLog returns an error if the deployment has logged a secret.
func checkLog(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte("[ChatConsumer] Connection accepted")) {
		return errors.New("the log of the deployment has no handshake")
	}
	secrets := []string{opsToken, world.report.JWTSecret}
	for _, u := range world.report.Users {
		secrets = append(secrets, u.AccessToken, u.Password)
	}
	for _, secret := range secrets {
		if bytes.Contains(text, []byte(secret)) {
			return fmt.Errorf("the log of the deployment has the secret %.8s…", secret)
		}
	}
	return nil
}

// findChromium returns a browser that runs, or "". On some systems the program only says how to
// install the real one.
func findChromium() string {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"}
	if name := os.Getenv("ROOMSPA_CHROMIUM"); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil && exec.Command(path, "--version").Run() == nil {
			return path
		}
	}
	return ""
}

// startBrowser returns the context of a browser with an empty profile. The sandbox is off, since it does not work for
// root and in many containers; the only pages are those of roomspa.
func startBrowser(path, profile string) (context.Context, context.CancelFunc) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.NoFirstRun, chromedp.Flag("lang", "en-GB"))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	return ctx, func() { cancel(); stop() }
}

// startDeployment builds roomspa and starts roomspa dev.
func startDeployment(dir string) (stop func() error, err error) {
	program := filepath.Join(dir, "roomspa")
	world.dir, world.program = dir, program
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./cmd/roomspa")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build roomspa: %w: %s", err, out)
	}
	cmd := exec.Command(program, "dev", "--json", "--dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--users", "10")
	cmd.Env = append(os.Environ(), "ROOMSPA_OPS_TOKEN="+opsToken)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGINT)
		return errors.Join(cmd.Wait(), log.Close())
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &world.report)
	}
	if err != nil {
		_ = stop()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("start roomspa dev: %w: %s", err, text)
	}
	return stop, nil
}
