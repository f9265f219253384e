package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/reload"
)

// storeReloads returns the tasks that read the files of the stores and of the ops token again.
func (a *App) storeReloads() []task {
	o := &a.options
	return []task{
		a.storeReload("database", certs.Files(o.DatabaseTLS), a.db.Reload),
		a.storeReload("redis", certs.Files(o.RedisTLS), a.redis.Reload),
		a.opsTokenReload(),
	}
}

// storeReload watches the URL and the certificates of one store.
func (a *App) storeReload(store string, files certs.Files, use func(url string) error) task {
	var names, paths []string
	urlFile := a.options.SecretFiles[store+"-url"]
	if urlFile != "" {
		names, paths = append(names, fileVariable(store+"-url")), append(paths, urlFile)
	}
	if of := files.Paths(); len(of) > 0 {
		names, paths = append(names, fmt.Sprintf("--%s-ca-file, --%s-client-cert-file or --%s-client-key-file", store, store, store)), append(paths, of...)
	}
	name := strings.Join(names, ", ")
	return a.watch(name, paths, func(texts []string) (string, error) {
		url := ""
		if urlFile != "" {
			url = texts[0]
		}
		if err := use(url); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s was read again: new connections use its content, open ones stay", name), nil
	})
}

// opsTokenReload watches the token of the ops listener.
func (a *App) opsTokenReload() task {
	const option = "ops-token"
	a.opsToken.Store(&a.options.OpsToken)
	var paths []string
	if path := a.options.SecretFiles[option]; path != "" {
		paths = []string{path}
	}
	name := fileVariable(option)
	return a.watch(name, paths, func(texts []string) (string, error) {
		if len(texts[0]) < minOpsToken {
			return "", fmt.Errorf("the ops token must have %d bytes or more", minOpsToken)
		}
		a.opsToken.Store(&texts[0])
		return fmt.Sprintf("%s was read again: /debug/ requires the new token", name), nil
	})
}

// watch returns a task that uses the content of files when it has changed. It takes the content
// from now on as the one in use: the command line has read it a moment ago.
func (a *App) watch(name string, paths []string, use func(texts []string) (string, error)) task {
	w := reload.New(name, paths, use, a.log, a.reg)
	_, _ = w.Read() // a file that is not readable now is reported by the first polls
	return task{"file of " + name, func(ctx context.Context) { w.Run(ctx) }}
}

// fileVariable returns the variable that names the file of an option.
func fileVariable(option string) string {
	return "ROOMSPA_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_")) + "_FILE"
}
