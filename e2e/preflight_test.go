package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// checkCluster reports what the cluster lacks for the tests. The error lists everything
// that is missing, each with what to do about it.
func (c *cluster) checkCluster(ctx context.Context) error {
	if _, err := c.run(ctx, "", "kubectl", "get", "--raw", "/readyz"); err != nil {
		return fmt.Errorf("the cluster of KUBECONFIG does not answer: %w", err)
	}
	missing := []error{c.checkStorage(ctx), c.checkKEDA(ctx), c.checkIngress(ctx)}
	if c.gateway != "none" {
		missing = append(missing, c.checkGateway(ctx))
	}
	if c.metrics != "none" {
		missing = append(missing, c.checkCustomMetrics(ctx))
	}
	if err := errors.Join(missing...); err != nil {
		return fmt.Errorf("the cluster lacks what the tests need:\n%w", err)
	}
	return nil
}

func (c *cluster) checkStorage(ctx context.Context) error {
	classes, err := c.run(ctx, "", "kubectl", "get", "storageclass", "-o",
		`jsonpath={.items[*].metadata.annotations.storageclass\.kubernetes\.io/is-default-class}`)
	if err != nil {
		return err
	}
	if !strings.Contains(classes, "true") {
		return errors.New("a default StorageClass: mark one with storageclass.kubernetes.io/is-default-class")
	}
	return nil
}

func (c *cluster) checkKEDA(ctx context.Context) error {
	if _, err := c.run(ctx, "", "kubectl", "get", "customresourcedefinition", "scaledobjects.keda.sh"); err != nil {
		return fmt.Errorf("KEDA: install it: %w", err)
	}
	if available, err := c.apiAvailable(ctx, "external.metrics.k8s.io"); err != nil || !available {
		return errors.Join(errors.New("KEDA's metrics: the APIService of external.metrics.k8s.io is absent or not available; see the pods of KEDA"), err)
	}
	return nil
}

func (c *cluster) checkIngress(ctx context.Context) error {
	address := c.ingress.Host
	if c.ingress.Port() == "" {
		address = net.JoinHostPort(c.ingress.Hostname(), "443")
	}
	// The controller's default certificate does not matter: the run makes its own.
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 30 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // sends nothing
	var closed, class, pods error
	if conn, err := dialer.DialContext(ctx, "tcp", address); err != nil {
		closed = fmt.Errorf("an ingress that answers with TLS at %s: see INGRESS: %w", address, err)
	} else {
		_ = conn.Close()
	}
	if c.class != "" {
		if _, err := c.run(ctx, "", "kubectl", "get", "ingressclass", c.class); err != nil {
			class = fmt.Errorf("the ingress class %s: see INGRESS_CLASS: %w", c.class, err)
		}
	} else if classes, err := c.run(ctx, "", "kubectl", "get", "ingressclass", "-o",
		`jsonpath={.items[*].metadata.annotations.ingressclass\.kubernetes\.io/is-default-class}`); err != nil || !strings.Contains(classes, "true") {
		class = errors.Join(errors.New("a default ingress class: set INGRESS_CLASS"), err)
	}
	if names, err := c.run(ctx, "", "kubectl", "--namespace", c.from, "get", "pods", "-o", "name"); err != nil || names == "" {
		pods = errors.Join(fmt.Errorf("pods of the ingress controller in the namespace %s: see INGRESS_NAMESPACE", c.from), err)
	}
	return errors.Join(closed, class, pods)
}

func (c *cluster) checkGateway(ctx context.Context) error {
	accepted, err := c.run(ctx, "", "kubectl", "get", "gatewayclass", c.gateway, "-o", `jsonpath={.status.conditions[?(@.type=="Accepted")].status}`)
	if err != nil || accepted != "True" {
		return errors.Join(fmt.Errorf("the gateway class %s, accepted by a controller: see GATEWAY_CLASS, or set it to none", c.gateway), err)
	}
	return nil
}

func (c *cluster) checkCustomMetrics(ctx context.Context) error {
	if available, err := c.apiAvailable(ctx, "custom.metrics.k8s.io"); err != nil || !available {
		return errors.Join(errors.New("custom metrics: the APIService of custom.metrics.k8s.io is absent or not available; "+
			"install the Prometheus Adapter, or set METRICS_NAMESPACE to none"), err)
	}
	if _, err := c.run(ctx, "", "kubectl", "get", "namespace", c.metrics); err != nil {
		return fmt.Errorf("the namespace %s: see METRICS_NAMESPACE: %w", c.metrics, err)
	}
	return nil
}

// apiAvailable reports whether a version of an aggregated API is available.
func (c *cluster) apiAvailable(ctx context.Context, group string) (bool, error) {
	available, err := c.run(ctx, "", "kubectl", "get", "apiservices", "-o",
		fmt.Sprintf(`jsonpath={.items[?(@.spec.group==%q)].status.conditions[?(@.type=="Available")].status}`, group))
	return strings.Contains(available, "True"), err
}
